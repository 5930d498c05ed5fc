"""Anchors: the last row of each day, by which copies outside the database prove that the log was not rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from shared.database import db
from shared.database.audit import chain
from shared.database.session import Session

_MISSING = """SELECT DISTINCT ON (day) (at AT TIME ZONE 'UTC')::date AS day, number, hash FROM audit_log
WHERE number > (SELECT coalesce(max(number), 0) FROM audit_anchors) AND at < $1::date::timestamp AT TIME ZONE 'UTC'
ORDER BY day, number DESC"""
_ADD = "INSERT INTO audit_anchors (day, number, hash) SELECT * FROM unnest($1::date[], $2::bigint[], $3::bytea[])"
_ALL = "SELECT day, number, hash FROM audit_anchors ORDER BY day"
_DROP = """WITH gone AS (DELETE FROM audit_log WHERE number <= (
SELECT max(number) FROM audit_anchors WHERE day < (clock_timestamp() AT TIME ZONE 'UTC' - $1::interval)::date)
RETURNING 1) SELECT count(*) FROM gone"""
_UNMAILED = "SELECT day, number, hash FROM audit_anchors WHERE mailed_at IS NULL ORDER BY day LIMIT 1000"
_MAILED = "UPDATE audit_anchors SET mailed_at = clock_timestamp() WHERE day = ANY($1::date[])"
_SWEEP = "DELETE FROM audit_customers WHERE NOT EXISTS (SELECT FROM audit_log WHERE customer = audit_customers.id)"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The number and hash of the last row of a day, in UTC."""

    day: date
    number: int
    hash: bytes


async def add_missing(session: Session) -> list[Anchor]:
    """Anchor every day that is over and has rows after the last anchor; return these anchors, the oldest first."""
    today = (await chain.lock(session)).now.date()
    missing = [Anchor(**row) for row in await db.fetch(session, _MISSING, today)]
    rows = [(each.day, each.number, each.hash) for each in missing]
    if rows:
        await db.fetch(session, _ADD, *map(list, zip(*rows, strict=True)))
    return missing


async def load_all(session: Session) -> Sequence[Anchor]:
    """Return all anchors, the oldest first; they are kept when the rows of their day are dropped."""
    return [Anchor(**row) for row in await db.fetch(session, _ALL)]


async def unmailed(session: Session) -> list[Anchor]:
    """Return the anchors that were not mailed to the address outside, the oldest first."""
    return [Anchor(**row) for row in await db.fetch(session, _UNMAILED)]


async def mark_mailed(session: Session, mailed: Sequence[Anchor]) -> None:
    await db.fetch(session, _MAILED, [each.day for each in mailed])


async def drop_old(session: Session, *, kept: timedelta) -> int:
    """Drop the rows of anchored days that ended longer ago than `kept`; return how many rows that were."""
    dropped: int = (await db.fetch(session, _DROP, kept))[0][0]
    if dropped:
        await db.fetch(session, _SWEEP)
    return dropped
