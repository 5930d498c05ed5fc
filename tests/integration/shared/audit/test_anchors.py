"""The job that anchors each day: one anchor whoever runs it, published with it, and retention after it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from shared.contract.events import AuditAnchored
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.db import Database
from shared.messaging import codec
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.relay_leadership import messages_in
from tests.integration.shared.audit.test_chain import add, age, row, verified


async def published(database: Database) -> list[AuditAnchored]:
    async with database.sessions.begin() as session:
        messages = messages_in(await db.fetch(session, "SELECT * FROM outbox ORDER BY id"))
    events = [codec.parse(each) for each in messages]
    return [each.payload for each in events if isinstance(each.payload, AuditAnchored)]


async def past(database: Database, days: int) -> None:
    await add(database, row(), row())
    await age(database, days, first=1, last=2)


async def test_day_that_is_over_is_anchored_and_published_once_whoever_runs_the_job(scoring_db: Database) -> None:
    await past(scoring_db, 3)
    await add(scoring_db, row())
    job = AuditAnchors(scoring_db.sessions, Service.SCORING, None)
    await asyncio.gather(*(job() for _ in range(4)))
    [anchor] = await published(scoring_db)
    assert (anchor.service, anchor.number) == (Service.SCORING, 2)
    assert anchor.day == datetime.now(UTC).date() - timedelta(days=3)
    assert anchor.key == f"scoring|{anchor.day}"
    found = await verified(scoring_db)
    assert (found.rows, found.compared) == (3, 1)


async def test_rows_past_retention_are_dropped_after_their_day_is_anchored(scoring_db: Database) -> None:
    await past(scoring_db, 800)
    await add(scoring_db, row())
    await AuditAnchors(scoring_db.sessions, Service.SCORING, None)()
    assert (await verified(scoring_db)).rows == 3
    await AuditAnchors(scoring_db.sessions, Service.SCORING, timedelta(days=730))()
    assert (await verified(scoring_db)).rows == 1
    assert len(await published(scoring_db)) == 1


async def test_empty_log_has_no_anchor(scoring_db: Database) -> None:
    await AuditAnchors(scoring_db.sessions, Service.SCORING, timedelta(days=1))()
    assert await published(scoring_db) == []
    assert (await verified(scoring_db)).rows == 0
