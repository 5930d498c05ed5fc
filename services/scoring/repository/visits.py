"""Page views: observations apart from everything that counts.

The funnel's "opened" is the first of an invitation that was not automatic; `page_views_invitation` finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.visits import LATELY, SOON, View
from services.scoring.repository import journeys
from shared import db

_KEEP = """INSERT INTO page_views (invitation_id, step, method, score, automatic, at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::boolean[], $6::timestamptz[])"""


async def keep(session: AsyncSession, views: Sequence[tuple[UUID, View]]) -> None:
    rows = [(invitation_id, v.step, v.method, v.score, v.automatic, v.at) for invitation_id, v in views]
    await db.fetch(session, _KEEP, *(list(column) for column in zip(*rows, strict=True)))
    await journeys.changed(session, [invitation_id for invitation_id, view in views if not view.automatic])


_AROUND = """SELECT (SELECT count(DISTINCT score) FROM page_views WHERE invitation_id = $1 AND at > $2) AS links,
EXISTS (SELECT FROM attempts WHERE invitation_id = $1 AND state IN ('sent', 'delivered') AND at > $3) AS soon"""


@dataclass(frozen=True, slots=True)
class Around:
    """How many scores had their link fetched lately, and whether a message had just gone out."""

    links: int
    soon: bool


async def around(session: AsyncSession, invitation_id: UUID, *, now: datetime) -> Around:
    [row] = await db.fetch(session, _AROUND, invitation_id, now - LATELY, now - SOON)
    return Around(row["links"], row["soon"])
