"""The whole story of an invitation, as it is told to machines, to staff and on the command line."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.repository import attempts, invitations, steps
from shared.contract.vocabulary import Service, respondent_id
from shared.database.db import Row
from shared.database.isolated import isolated
from shared.web import problems

_MOST = 100


async def tell(session: AsyncSession, invitation_id: UUID) -> schemas.InvitationHistory:
    """Read one; raises NotFound, and Unprocessable where its stored request no longer reads."""
    found = await invitations.story(session, invitation_id)
    if found is None:
        raise problems.NotFound("No such invitation")
    made, tried = await steps.story(session, invitation_id), await attempts.story(session, invitation_id)
    with isolated("stored_request", service=Service.DISPATCHER, invitation_id=str(invitation_id)):
        return schemas.invitation_story(found, made, tried)
    raise problems.Unprocessable("The stored request of this invitation cannot be read")


async def newest(
    session: AsyncSession, *, customer: str | None = None, outcome: schemas.Outcome | None = None
) -> schemas.InvitationList:
    """List the newest invitations: of a customer or of anybody, that ended in one way or in any."""
    of = respondent_id(customer) if customer else None
    rows = await invitations.newest(session, limit=_MOST, outcome=outcome, respondent_id=of)
    return schemas.InvitationList(invitations=[_summary(row) for row in rows])


def _summary(row: Row) -> schemas.InvitationSummary:
    """Summarize one; a stored request that no longer reads leaves its customer out and hides no other."""
    with isolated("stored_request", service=Service.DISPATCHER, invitation_id=str(row["id"])):
        return schemas.InvitationSummary(**row)
    return schemas.InvitationSummary(**{**row, "customer_id": "", "send_at": row["created_at"]})
