"""Deletes invitations that ended long ago, with what belongs to them: attempts, kept messages, replies, CRM tasks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db
from shared.ids import first_id

# ids begin with the machine time at which they were made: the oldest are the first of the primary key
_DELETE = """WITH old AS MATERIALIZED (
    SELECT id FROM invitations WHERE id < $1 AND state = 'closed' ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM invitations i USING old WHERE i.id = old.id RETURNING 1"""
_COUNT = "SELECT count(*) AS n FROM invitations WHERE id < $1 AND state = 'closed'"


async def delete_batch(session: AsyncSession, *, made_before: datetime, limit: int) -> int:
    """Delete the oldest closed invitations that were made before a machine time; return how many."""
    return len(await db.fetch(session, _DELETE, first_id(made_before), limit))


async def count(session: AsyncSession, *, made_before: datetime) -> int:
    return int((await db.fetch(session, _COUNT, first_id(made_before)))[0]["n"])
