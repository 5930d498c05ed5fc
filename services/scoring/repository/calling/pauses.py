"""Pauses of operators at the call desk."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from shared.database import db

KEPT = timedelta(days=30)

_START = """INSERT INTO desk_pauses (pause_id, operator, started_at) VALUES ($1, $2, $3)
ON CONFLICT (operator) WHERE ended_at IS NULL DO NOTHING"""
_DROP_OLD = "DELETE FROM desk_pauses WHERE ended_at < $1"


async def start(session: AsyncSession, operator: str, *, now: datetime) -> None:
    """Begin a pause, unless the operator pauses already, and delete all pauses that ended before `KEPT`."""
    await db.fetch(session, _START, uuid7(), operator, now)
    await db.fetch(session, _DROP_OLD, now - KEPT)


_END = "UPDATE desk_pauses SET ended_at = $2 WHERE operator = $1 AND ended_at IS NULL"


async def end(session: AsyncSession, operator: str, *, now: datetime) -> None:
    await db.fetch(session, _END, operator, now)


_OPEN = "SELECT started_at FROM desk_pauses WHERE operator = $1 AND ended_at IS NULL"


async def paused_since(session: AsyncSession, operator: str) -> datetime | None:
    """Return when the operator's pause began, None without one."""
    rows = await db.fetch(session, _OPEN, operator)
    return rows[0]["started_at"] if rows else None


_SINCE = """SELECT operator, started_at, ended_at FROM desk_pauses WHERE ended_at IS NULL OR ended_at >= $1
ORDER BY operator, started_at"""


async def since(session: AsyncSession, moment: datetime) -> list[db.Row]:
    """Return operator, start and end of the pauses that lasted at some time since `moment`."""
    return await db.fetch(session, _SINCE, moment)
