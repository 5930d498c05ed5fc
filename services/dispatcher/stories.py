"""The whole story of an invitation, as it is told to machines, to staff and on the command line."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.repository import attempts, invitations, steps
from shared import problems
from shared.vocabulary import respondent_id

_MOST = 100


async def tell(session: AsyncSession, invitation_id: UUID) -> schemas.InvitationStory:
    """Read one; raises NotFound."""
    found = await invitations.story(session, invitation_id)
    if found is None:
        raise problems.NotFound("No such invitation")
    return schemas.invitation_story(
        found, await steps.story(session, invitation_id), await attempts.story(session, invitation_id)
    )


async def newest(
    session: AsyncSession, *, customer: str | None = None, outcome: schemas.Outcome | None = None
) -> schemas.InvitationList:
    """List the newest invitations: of a customer or of anybody, that ended in one way or in any."""
    of = respondent_id(customer) if customer else None
    rows = await invitations.newest(session, limit=_MOST, outcome=outcome, respondent_id=of)
    return schemas.InvitationList(invitations=[schemas.InvitationSummary(**row) for row in rows])
