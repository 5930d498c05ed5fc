"""What the score pages read: sums of buckets where buckets hold it, else a count of the answers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.moves import Series
from services.scoring.domain.periods import Period
from services.scoring.domain.score import Figure, Tally
from services.scoring.models import COUNTERS
from services.scoring.repository import counting
from services.scoring.repository.buckets import tally
from services.scoring.repository.slices import LABELS, Slice
from shared import db
from shared.events import PlanStep

_DAYS = "($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)"
_TALLY = ", ".join(f"sum({name})::int AS {name}" for name in COUNTERS)
_ONE = "dimension = $4 AND ($5::text IS NULL OR value = $5)"
_SUMS = f"""SELECT value, to_char(day, $6) AS period, {_TALLY}
FROM buckets WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - column names only
_INVITED = f"""SELECT value, to_char(day, $6) AS period, sum(invited)::int AS invited, sum(answered)::int AS answered
FROM invited WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - our own conditions


async def series(
    session: AsyncSession, which: Slice, *, dimensions: Sequence[str] = (), period: Period | None = None
) -> list[Figure]:
    """Sum up each value of a dimension, or each pair of two, and each period of it, in order."""
    kept = which.in_buckets(dimensions)
    if kept is None:
        return await counting.series(session, which, dimensions=dimensions, period=period)
    of = *which.days, *kept, LABELS[period] if period else ""
    tallies = {(row["value"], row["period"]): tally(row) for row in await db.fetch(session, _SUMS, *of)}
    asked = {
        (row["value"], row["period"]): (row["invited"], row["answered"])
        for row in await db.fetch(session, _INVITED, *of)
    }
    return [
        Figure((value,), label or None, tallies.get((value, label), Tally()), *asked.get((value, label), (0, 0)))
        for value, label in sorted({*tallies, *asked})
    ]


async def whole(session: AsyncSession, which: Slice) -> Figure:
    """Sum up everything in the slice."""
    return next(iter(await series(session, which)), Figure())


_TALLIES = f"""SELECT dimension, value, {_TALLY} FROM buckets
WHERE {_DAYS} AND dimension = ANY($4::text[]) GROUP BY 1, 2"""  # noqa: S608 - column names only


async def tallies(session: AsyncSession, which: Slice, dimensions: Sequence[str]) -> dict[Series, Tally]:
    """Sum up several dimensions at once; the slice's segment and definition are not looked at."""
    rows = await db.fetch(session, _TALLIES, *which.days, list(dimensions))
    return {(row["dimension"], row["value"]): tally(row) for row in rows}


_PLAN = "SELECT content->'plan' AS plan FROM invitations WHERE program = $1 ORDER BY id DESC LIMIT 1"


async def plan(session: AsyncSession, program: str) -> list[PlanStep]:
    """Read the escalation plan of the program's newest invitation."""
    rows = await db.fetch(session, _PLAN, program)
    return TypeAdapter(list[PlanStep]).validate_python(rows[0]["plan"]) if rows else []


_REASON_TEXTS = """SELECT content->'reasons' AS texts FROM invitations WHERE program = $1 ORDER BY id DESC LIMIT 1"""


async def reason_texts(session: AsyncSession, program: str) -> dict[str, str]:
    """Read the words of each reason as the program's newest invitation has them."""
    rows = await db.fetch(session, _REASON_TEXTS, program)
    groups = [rows[0]["texts"][group] for group in ("promoter", "other")] if rows else []
    return {reason["id"]: reason["text"] for group in groups for reason in group}


# in the order of an index, looking up one invitation after another until there are enough
_LATEST = """SELECT a.score, a.reasons, a.comment, a.mode, a.channel, a.suspect, a.answered_at, i.segments,
i.program_zone, i.content->'reasons' AS texts FROM answers a JOIN LATERAL (SELECT * FROM invitations
WHERE id = a.invitation_id AND program = $1 AND counted
AND ($7::text IS NULL OR dimensions->>$7 = $8) OFFSET 0) i ON true
WHERE a.first_day BETWEEN $2 AND $3 AND ($4::int IS NULL OR a.score BETWEEN $4 AND $5)
AND ($6::text IS NULL OR a.reasons ? $6) AND {} ORDER BY a.answered_at DESC LIMIT $9"""
_GROUPS = {"promoter": (9, 10), "passive": (7, 8), "detractor": (0, 6)}


@dataclass(frozen=True, slots=True)
class Only:
    """Answers of one group, naming one reason; None is any."""

    group: str | None = None
    reason: str | None = None


async def latest(
    session: AsyncSession, which: Slice, only: Only, *, wordless_too: bool, limit: int
) -> list[asyncpg.Record]:
    """Read the newest answers of a slice: those with a comment or `wordless_too`."""
    scores = _GROUPS.get(only.group or "", (None, None))
    segment = which.segment or (None, None)
    sql = _LATEST.format("true" if wordless_too else "a.comment IS NOT NULL")  # an index holds those with a comment
    return await db.fetch(session, sql, *which.days, *scores, only.reason, *segment, limit)
