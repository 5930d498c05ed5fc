"""Pauses of operators at the call desk."""

from __future__ import annotations

from datetime import datetime, timedelta

from uuid_utils.compat import uuid7

from services.scoring.domain.calling.operators import Operator
from services.scoring.repository.calling.calls import NAME
from shared.database import db
from shared.database.session import Session

KEPT = timedelta(days=30)

# The version before allows one open pause of a name: where another's has it, as after a rename, an id is added.
_START = """INSERT INTO desk_pauses (pause_id, operator, operator_id, started_at)
SELECT $1::uuid, CASE WHEN EXISTS (SELECT FROM desk_pauses WHERE operator = $2 AND ended_at IS NULL)
THEN $2 || ' ' || $1::uuid ELSE $2 END, ($3::uuid[])[1], $4::timestamptz
WHERE NOT EXISTS (SELECT FROM desk_pauses WHERE operator_id = ANY($3) AND ended_at IS NULL)
ON CONFLICT DO NOTHING RETURNING pause_id"""
_DROP_OLD = "DELETE FROM desk_pauses WHERE ended_at < $1"


async def start(session: Session, operator: Operator, *, now: datetime) -> bool:
    """Begin a pause, and delete all pauses that ended before `KEPT`; returns False if the operator pauses already."""
    begun = await db.fetch(session, _START, uuid7(), operator.name, operator.ids, now)
    await db.fetch(session, _DROP_OLD, now - KEPT)
    return bool(begun)


_END = """UPDATE desk_pauses SET ended_at = $2 WHERE operator_id = ANY($1::uuid[]) AND ended_at IS NULL
RETURNING pause_id"""


async def end(session: Session, operator: Operator, *, now: datetime) -> bool:
    """End the pause of an operator; returns False if there is none."""
    return bool(await db.fetch(session, _END, operator.ids, now))


_OPEN = "SELECT started_at FROM desk_pauses WHERE operator_id = ANY($1::uuid[]) AND ended_at IS NULL"


async def paused_since(session: Session, operator: Operator) -> datetime | None:
    """Return when the operator's pause began, None without one."""
    rows = await db.fetch(session, _OPEN, operator.ids)
    return rows[0]["started_at"] if rows else None


_SINCE = f"""SELECT operator_id, {NAME.format("operator_id", "operator")} AS operator, started_at, ended_at
FROM desk_pauses WHERE ended_at IS NULL OR ended_at >= $1 ORDER BY operator_id, started_at"""  # noqa: S608 - constants only


async def since(session: Session, moment: datetime) -> list[db.Row]:
    """Return operator, start and end of the pauses that lasted at some time since `moment`."""
    return await db.fetch(session, _SINCE, moment)
