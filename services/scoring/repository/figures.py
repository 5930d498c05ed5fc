"""What the score pages read: sums of buckets, the funnel, the latest comments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import asyncpg
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.score import Figure, Tally
from services.scoring.models import COUNTERS
from services.scoring.repository.buckets import tally
from shared import db
from shared.events import PlanStep

Period = Literal["day", "week", "month"]

_LABEL = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM"}
_SUMS = f"""SELECT value, to_char(day, $5) AS period,
{", ".join(f"sum({name})::int AS {name}" for name in COUNTERS)}
FROM buckets WHERE ($1::text IS NULL OR program = $1) AND dimension = $2
AND ($3::date IS NULL OR day >= $3) AND ($4::date IS NULL OR day <= $4) GROUP BY 1, 2"""  # noqa: S608 - column names only
_INVITED = """SELECT value, to_char(day, $5) AS period, sum(invited)::int AS invited, sum(answered)::int AS answered
FROM invited WHERE ($1::text IS NULL OR program = $1) AND dimension = $2
AND ($3::date IS NULL OR day >= $3) AND ($4::date IS NULL OR day <= $4) GROUP BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which answers a figure is about; None is no limit, days are inclusive."""

    program: str | None = None
    first: date | None = None
    last: date | None = None


async def series(
    session: AsyncSession, which: Slice, *, dimension: str = "all", period: Period | None = None
) -> list[Figure]:
    """Sum up each value of a dimension, and each period of it, in order."""
    of = which.program, dimension, which.first, which.last, _LABEL[period] if period else ""
    tallies = {(row["value"], row["period"]): tally(row) for row in await db.fetch(session, _SUMS, *of)}
    asked = {
        (row["value"], row["period"]): (row["invited"], row["answered"])
        for row in await db.fetch(session, _INVITED, *of)
    }
    return [
        Figure(value, label or None, tallies.get((value, label), Tally()), *asked.get((value, label), (0, 0)))
        for value, label in sorted({*tallies, *asked})
    ]


_REACHED = """SELECT count(*) AS asked,
count(*) FILTER (WHERE a.answer_id IS NOT NULL OR EXISTS (SELECT 1 FROM attempts t WHERE t.invitation_id = i.id
AND t.channel <> 'call' AND t.state IN ('sent', 'delivered', 'complained'))) AS reached,
count(*) FILTER (WHERE a.answer_id IS NULL AND o.outcome IS NULL) AS waiting,
count(*) FILTER (WHERE a.answer_id IS NULL) AS silent
FROM invitations i LEFT JOIN answers a ON a.invitation_id = i.id LEFT JOIN outcomes o ON o.invitation_id = i.id
WHERE i.counted AND i.program = $1 AND i.invited_day BETWEEN $2 AND $3"""
_BY_STEP = """SELECT a.step, coalesce(a.channel, '') AS channel, count(*) AS answered
FROM invitations i JOIN answers a ON a.invitation_id = i.id
WHERE i.counted AND i.program = $1 AND i.invited_day BETWEEN $2 AND $3 GROUP BY 1, 2 ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class StepAnswers:
    step: int
    channel: str
    answered: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """Of those asked in a period: `silent` gave no answer, `waiting` of them may still be asked again."""

    asked: int
    reached: int
    silent: int
    waiting: int
    steps: Sequence[StepAnswers] = field(default_factory=list)


async def funnel(session: AsyncSession, which: Slice) -> Funnel:
    counts = (await db.fetch(session, _REACHED, which.program, which.first, which.last))[0]
    steps = await db.fetch(session, _BY_STEP, which.program, which.first, which.last)
    return Funnel(
        counts["asked"],
        counts["reached"],
        counts["silent"],
        counts["waiting"],
        [StepAnswers(row["step"], row["channel"], row["answered"]) for row in steps],
    )


_PLAN = "SELECT content->'plan' AS plan FROM invitations WHERE program = $1 ORDER BY id DESC LIMIT 1"


async def plan(session: AsyncSession, program: str) -> list[PlanStep]:
    """Read the escalation plan of the program's newest invitation."""
    rows = await db.fetch(session, _PLAN, program)
    return TypeAdapter(list[PlanStep]).validate_python(rows[0]["plan"]) if rows else []


_LATEST = """SELECT a.score, a.reasons, a.comment, a.mode, a.channel, a.answered_at, i.segments, i.program_zone,
i.content->'reasons' AS texts FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE i.program = $1 AND i.counted AND a.first_day BETWEEN $2 AND $3 AND ($4 OR a.comment IS NOT NULL)
ORDER BY a.answered_at DESC LIMIT $5"""


async def latest(session: AsyncSession, which: Slice, *, wordless_too: bool, limit: int) -> list[asyncpg.Record]:
    """Read the newest answers, those with a comment only or `wordless_too`."""
    return await db.fetch(session, _LATEST, which.program, which.first, which.last, wordless_too, limit)
