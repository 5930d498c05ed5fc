"""Page views: observations apart from everything that counts.

The funnel's "opened" is the first of an invitation that was not automatic; `page_views_invitation` finds it.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.visits import View
from shared import db

_KEEP = """INSERT INTO page_views (invitation_id, step, method, score, automatic, at)
VALUES ($1, $2, $3, $4, $5, $6)"""


async def keep(session: AsyncSession, invitation_id: UUID, view: View) -> None:
    await db.fetch(session, _KEEP, invitation_id, view.step, view.method, view.score, view.automatic, view.at)
