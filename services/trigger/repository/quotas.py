"""Quota counters: one row per program, quota, segment value and day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from services.trigger.domain.programs.quotas import QuotaKey
from shared.database import db
from shared.database.session import Session

_LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number"

_FIND = "SELECT program_id, name, value, day, used FROM quotas WHERE program_id = ANY($1::text[]) AND day >= $2"

_SAVE = """INSERT INTO quotas (program_id, name, value, day, used)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[])
ON CONFLICT (program_id, name, value, day) DO UPDATE SET used = EXCLUDED.used"""

# business time has no machine's clock to compare with: a counter is old a week before the newest one of its program
_DELETE_OLD = """DELETE FROM quotas AS q USING (SELECT program_id, max(day) AS day FROM quotas GROUP BY 1) AS newest
WHERE q.program_id = newest.program_id AND q.day < newest.day - 7"""


async def hold(session: Session, programs: Collection[str], *, now: datetime) -> dict[QuotaKey, int]:
    """Lock the counters of these programs to the end of the transaction, and load those since yesterday."""
    if not programs:
        return {}
    await db.fetch(session, _LOCK, sorted(db.lock_number("trigger", "quotas", program) for program in programs))
    rows = await db.fetch(session, _FIND, list(programs), (now - timedelta(days=1)).date())
    return {QuotaKey(row["program_id"], row["name"], row["value"], row["day"]): row["used"] for row in rows}


async def save(session: Session, used: Mapping[QuotaKey, int]) -> None:
    if used:
        await db.fetch(session, _SAVE, *zip(*((*key, number) for key, number in sorted(used.items())), strict=True))


async def delete_old(session: Session) -> None:
    """Delete the counters of days that no decision counts any more."""
    await db.fetch(session, _DELETE_OLD)
