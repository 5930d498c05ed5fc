"""The progress of each relational program: the day it works on, and the last respondent done on that day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from services.trigger.domain.deciding.cadence import CadenceDay
from shared.database import db
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class CadenceProgress:
    """The day, and the (spread, id) of the last respondent done on it.

    `after_spread` is None when the day is finished; `day` is None before the first day.
    """

    day: date | None = None
    after_spread: int | None = None
    after_id: str | None = None


_HOLD = "SELECT pg_try_advisory_xact_lock($1) AS locked"

_FIND = "SELECT day, after_spread, after_id FROM cadences WHERE program_id = $1"

_SAVE = """INSERT INTO cadences (program_id, day, after_spread, after_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (program_id) DO UPDATE SET day = EXCLUDED.day, after_spread = EXCLUDED.after_spread,
after_id = EXCLUDED.after_id"""

_DUE = """SELECT spread, id FROM respondents
WHERE spread >= $1 AND spread < $2 AND (spread, id) > ($3, $4) AND known_at IS NOT NULL
ORDER BY spread, id LIMIT $5"""


async def hold(session: Session, program_id: str) -> CadenceProgress | None:
    """Lock a program to the end of the transaction and load its progress; None if another process holds the lock."""
    (row,) = await db.fetch(session, _HOLD, db.lock_number("trigger", "cadence", program_id))
    if not row["locked"]:
        return None
    rows = await db.fetch(session, _FIND, program_id)
    return CadenceProgress(**rows[0]) if rows else CadenceProgress()


async def save(session: Session, program_id: str, progress: CadenceProgress) -> None:
    await db.fetch(session, _SAVE, program_id, progress.day, progress.after_spread, progress.after_id)


async def due_respondents(
    session: Session, day: CadenceDay, *, after: CadenceProgress, limit: int
) -> list[tuple[int, str]]:
    """Return (spread, id) of the next respondents due on a day, in order; leave out those without customer data."""
    rows = await db.fetch(session, _DUE, day.first, day.last, after.after_spread, after.after_id, limit)
    return [(row["spread"], row["id"]) for row in rows]
