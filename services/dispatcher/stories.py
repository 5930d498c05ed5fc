"""The whole story of an invitation, as it is told to machines, to staff and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.repository import attempts, invitations, steps
from shared import problems
from shared.db import Row
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


async def of_customer(session: AsyncSession, customer: str) -> schemas.InvitationList:
    """List what a customer was asked, the newest first."""
    rows = await invitations.of_respondent(session, respondent_id(customer), limit=_MOST)
    return _listed(rows)


async def newest(session: AsyncSession) -> schemas.InvitationList:
    """List the newest invitations of anybody."""
    return _listed(await invitations.newest(session, limit=_MOST))


def _listed(rows: Sequence[Row]) -> schemas.InvitationList:
    return schemas.InvitationList(invitations=[schemas.InvitationSummary(**row) for row in rows])
