"""Page views; the first of an invitation that is not automatic is the funnel's stage "opened"."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.bot_detection import PageView
from services.scoring.repository.scores import journeys
from shared.database import db
from shared.database.session import Session

_ADD = """INSERT INTO page_views (invitation_id, step, method, score, automatic, at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::boolean[], $6::timestamptz[])"""


async def add(session: Session, views: Sequence[tuple[UUID, PageView]]) -> None:
    rows = [(invitation_id, v.step, v.method, v.score, v.automatic, v.at) for invitation_id, v in views]
    await db.fetch(session, _ADD, *(list(column) for column in zip(*rows, strict=True)))
    await journeys.mark_pending(session, [invitation_id for invitation_id, view in views if not view.automatic])
