"""The history of an invitation, for the JSON API, the staff pages and the command line."""

from __future__ import annotations

from uuid import UUID

from services.dispatcher import schemas
from services.dispatcher.repository import attempts, chains, invitations
from shared.contract.address_keys import PSEUDONYM_PREFIX, AddressKeys
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Service
from shared.database.db import Row
from shared.database.isolated import isolated
from shared.database.session import Session
from shared.languages.marking import mark
from shared.web import problems

_MOST = 100


async def of_invitation(
    session: Session, invitation_id: UUID, *, scope: StaffScope = WHOLE
) -> schemas.InvitationHistory:
    """Return the history of one invitation in the scope.

    Raises NotFound, and Unprocessable if its stored request is not valid.
    """
    found = await invitations.history(session, invitation_id, scope=scope)
    if found is None:
        raise problems.NotFound(mark("No such invitation"))
    steps = (await chains.read(session, [invitation_id])).get(invitation_id, [])
    attempt_rows = await attempts.history(session, invitation_id)
    with isolated("stored_request", service=Service.DISPATCHER, invitation_id=str(invitation_id)):
        return schemas.invitation_history(found, steps, attempt_rows)
    raise problems.Unprocessable("The stored request of this invitation cannot be read")


async def newest(
    session: Session,
    address_keys: AddressKeys,
    *,
    customer: str | None = None,
    outcome: schemas.OutcomeFilter | None = None,
    scope: StaffScope = WHOLE,
) -> schemas.InvitationList:
    """List at most 100 invitations, newest first: of a customer, an address or all, with one outcome or any.

    Of a customer who was asked in the scope, without an outcome, it also says how many invitations are elsewhere: of
    the very id that was asked here, and of no guest, or a sale under somebody's address would tell whether that person
    buys elsewhere.
    """
    ids = address_keys.respondents_like(customer) if customer else None
    fingerprints = address_keys.matching_like(customer) if customer else ()
    rows = await invitations.newest(
        session, limit=_MOST, outcome=outcome, respondents=ids, fingerprints=fingerprints, scope=scope
    )
    seen = [_summary(row) for row in rows if row["seen"]]
    known = {row["respondent_id"] for row in rows if row["seen"] and PSEUDONYM_PREFIX not in row["respondent_id"]}
    hidden = [row for row in rows if not row["seen"] and row["respondent_id"] in known]
    elsewhere = len(hidden) if outcome is None else 0  # the outcome elsewhere is not told
    return schemas.InvitationList(invitations=seen, elsewhere=elsewhere)


def _summary(row: Row) -> schemas.InvitationSummary:
    """Summarize an invitation; if its request is invalid, without customer id and with `created_at` as `send_at`."""
    with isolated("stored_request", service=Service.DISPATCHER, invitation_id=str(row["id"])):
        return schemas.InvitationSummary(**row)
    return schemas.InvitationSummary(**{**row, "customer_id": "", "send_at": row["created_at"]})
