"""What administrators do with people: add, change, give a one-time link, turn off and on."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from services.scoring.domain.people.identity import free_login, free_name
from services.scoring.domain.people.lookalikes import look_of
from services.scoring.domain.people.person import (
    InvalidPerson,
    Person,
    checked_email,
    checked_employees,
    checked_login,
    checked_name,
    checked_roles,
)
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.repository.people import accounts, sessions
from shared.contract.vocabulary import Role
from shared.database.session import Session
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web.audit.acts import note, note_unchanged

LINK_LASTS = timedelta(days=3)
JOIN = "/join/"
_SAME_NAME = mark("%(login)s has this name already: add a second name or a number")
_ALIKE = mark(
    "the name of %(login)s looks the same, but for spaces or letters of another alphabet: add a second name or a number"
)


@dataclass(frozen=True, slots=True)
class Invited:
    """A person, and the secret of the one-time link at which the person chooses a password: it is kept nowhere."""

    person: Person
    secret: str

    def url(self, origin: str) -> str:
        return f"{origin.rstrip('/')}{JOIN}{self.secret}"


def digest(secret: str) -> bytes:
    """Hash the secret of a link; it has 256 random bits, so a slow password hash is not needed."""
    return hashlib.sha256(secret.encode()).digest()


async def add(  # noqa: PLR0913 - what a person has
    session: Session,
    *,
    login: str,
    name: str,
    roles: Iterable[str],
    scope: PersonScope = EVERYTHING,
    email: str = "",
    employees: str = "",
) -> Invited:
    """Add a person with a one-time link; raises InvalidPerson."""
    person = Person(
        uuid7(),
        checked_login(login),
        checked_name(name),
        checked_roles(roles),
        scope=scope,
        email=checked_email(email),
        employees=checked_employees(employees),
    )
    await accounts.lock(session)
    await _refuse_taken_name(session, person)
    if not await accounts.add(session, person):
        raise InvalidPerson("login", gettext("somebody has this login already"))
    note(roles=sorted(person.roles), sees=person.scope.recorded, employees=sorted(person.employees))
    return await invite(session, person)


async def invite(session: Session, person: Person, *, lasting: timedelta = LINK_LASTS) -> Invited:
    """Make a one-time link; the link before it stops working, the password counts until the new one is chosen.

    Raises InvalidPerson for somebody who is turned off, and for somebody who logs in by an identity provider.
    """
    if person.issuer:
        raise InvalidPerson(
            "login", gettext("this person logs in at %(provider)s and has no password here", provider=person.issuer)
        )
    if person.is_off:
        raise InvalidPerson("login", gettext("this person is turned off: turn the login on first"))
    secret = secrets.token_urlsafe(32)
    await accounts.replace_link(session, person.id, digest(secret), lasting=lasting)
    note(person.id)
    return Invited(person, secret)


async def change(  # noqa: PLR0913 - what a person has
    session: Session,
    id_: UUID,
    *,
    name: str,
    roles: Iterable[str],
    scope: PersonScope,
    email: str | None = None,
    employees: str | None = None,
) -> Person | None:
    """Give a person another name, other roles, another scope and, unless they are None, another address and codes.

    Returns None if there is no such person; raises InvalidPerson.
    """
    await accounts.lock(session)
    person = await accounts.by_id(session, id_)
    if person is None:
        return None
    address = person.email if email is None else checked_email(email)
    codes = person.employees if employees is None else checked_employees(employees)
    changed = replace(person, name=checked_name(name), roles=checked_roles(roles), scope=scope, email=address)
    changed = replace(changed, employees=codes)
    if changed.name != person.name:
        await _refuse_taken_name(session, changed)
    await _keep_an_administrator(session, person, changed)
    if changed == person:
        note_unchanged()
    else:
        await accounts.change(session, changed)
    note(id_, roles=sorted(changed.roles), sees=changed.scope.recorded, employees=sorted(changed.employees))
    note(
        roles_before=sorted(person.roles), sees_before=person.scope.recorded, employees_before=sorted(person.employees)
    )
    note(changed=changed_contact(person, changed))
    return changed


def changed_contact(before: Person, after: Person) -> list[str]:
    """Return which of name and e-mail address differ, as the audit log says it without either."""
    differs = {"name": before.name != after.name, "email": before.email != after.email}
    return [what for what, is_other in differs.items() if is_other]


async def turn(session: Session, id_: UUID, *, off: bool) -> Person | None:
    """Turn a person off, whose sessions and links end with that, or on; None if there is none.

    Raises InvalidPerson for the last administrator.
    """
    await accounts.lock(session)
    person = await accounts.by_id(session, id_)
    if person is None:
        return None
    note(id_)
    if person.is_off is off:
        note_unchanged()
        return person
    turned = replace(person, is_off=off)
    await _keep_an_administrator(session, person, turned)
    await accounts.turn(session, id_, off=off)
    if off:
        await accounts.forget_links(session, id_)
        await sessions.end_all(session, id_)
    return turned


async def _refuse_taken_name(session: Session, person: Person) -> None:
    """Raise InvalidPerson if another person's name looks the same: pages show only the name of who did something."""
    for other in await accounts.load_all(session):
        if other.id != person.id and look_of(other.name) == look_of(person.name):
            is_same = other.name.casefold() == person.name.casefold()
            raise InvalidPerson("name", gettext(_SAME_NAME if is_same else _ALIKE, login=other.login))


async def _keep_an_administrator(session: Session, person: Person, changed: Person) -> None:
    """Raise InvalidPerson if a change takes the last one away who can add people."""
    if not _administers(person) or _administers(changed):
        return
    if not any(_administers(other) for other in await accounts.load_all(session) if other.id != person.id):
        raise InvalidPerson("roles", gettext("nobody else who can log in is an administrator: make somebody one first"))


def _administers(person: Person) -> bool:
    return Role.ADMINISTRATOR in person.roles and person.scope.is_whole and not person.is_off


async def first_administrator(session: Session, *, login: str = "admin") -> Invited | None:
    """Return a link for the first administrator, None if somebody can log in already.

    Every start makes a new one until it is used, because nobody can be shown the link of the start before.
    """
    await accounts.lock(session)
    people = await accounts.load_all(session)
    if any(person.has_password or (person.issuer and _administers(person)) for person in people):
        return None
    for person in people:
        if _administers(person):
            return await invite(session, person)
    login = free_login(login, otherwise=login, taken=[person.login for person in people])
    name = free_name("Administrator", otherwise=login, taken=[person.name for person in people])
    return await add(session, login=login, name=name, roles=[Role.ADMINISTRATOR])
