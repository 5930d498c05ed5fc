"""Accounts of people whom an identity provider knows: made at the first log-in, brought up to date at each."""

from __future__ import annotations

from dataclasses import replace

import structlog
from uuid_utils.compat import uuid7

from services.scoring.domain.people.identity import Identity, free_login, free_name
from services.scoring.domain.people.person import Person
from services.scoring.people.accounts import changed_contact
from services.scoring.people.scope_form import known_scopes
from services.scoring.repository.people import accounts, identities
from shared.database.session import Session
from shared.web.audit.acts import note

log = structlog.get_logger()


async def account_of(session: Session, identity: Identity, *, provider: str) -> Person | None:
    """Return the account with the name, roles and scope of today; None for somebody new without a role.

    An account that was made here is never taken for the same person, whatever its login and name.
    """
    await accounts.lock(session)
    people = await accounts.load_all(session)
    id_ = await identities.find(session, identity.issuer, identity.subject)
    known = next((person for person in people if person.id == id_), None)
    if known is None and not identity.roles:
        return None
    person = known or Person(
        uuid7(),
        free_login(identity.login, otherwise=provider, taken=[each.login for each in people]),
        "",
        identity.roles,
        issuer=identity.issuer,
    )
    others = [each.name for each in people if each.id != person.id]
    name = free_name(identity.name, otherwise=person.login, taken=others)
    person = replace(person, name=name, roles=identity.roles, scope=identity.scope)
    if not person.scope.is_whole and (lacking := (await known_scopes(session)).lacking(person.scope)):
        log.warning("log_in.scope_unknown", provider=provider, person=str(person.id), unknown=lacking)
    if known is None:
        await accounts.add(session, person)
        await identities.add(session, identity.issuer, identity.subject, person=person.id)
    else:
        await accounts.change(session, person)
        note(changed=changed_contact(known, person))
    return person
