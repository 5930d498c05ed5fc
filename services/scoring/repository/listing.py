"""Answers and daily figures row by row, in a stable order and a page at a time, from the views others may read too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.dimensions import Key
from shared import db
from shared.vocabulary import AnswerMode, Category, ChannelKind

_SCORES = {Category.DETRACTOR: (0, 6), Category.PASSIVE: (7, 8), Category.PROMOTER: (9, 10), None: (0, 10)}
ANSWER_COLUMNS = (
    "answer_id, invitation_id, customer_id, program, program_version, version, score, category, reasons, comment, "
    "extra, segments, mode, step, channel, suspect, test, answered_at, day"
)
NPS_COLUMNS = (
    "program, dimension, value, day, n, promoters, passives, detractors, nps, by_score, operators, imported, suspects, "
    "invited, answered"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which answers; None is no limit, days are inclusive."""

    program: str | None = None
    first: date | None = None
    last: date | None = None
    category: Category | None = None
    channel: ChannelKind | None = None
    mode: AnswerMode | None = None
    suspect: bool | None = None
    segments: Mapping[str, str] = field(default_factory=dict)


_ANSWERS = """FROM answers_v WHERE ($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2)
AND ($3::date IS NULL OR day <= $3) AND score BETWEEN $4 AND $5 AND ($6::text IS NULL OR channel = $6)
AND ($7::text IS NULL OR mode = $7) AND ($8::boolean IS NULL OR suspect = $8) AND segments @> $9::jsonb"""
_ANSWERS_PAGE = f"""SELECT {ANSWER_COLUMNS} {_ANSWERS}
AND ($10::uuid IS NULL OR answer_id > $10) ORDER BY answer_id LIMIT $11"""
_NAMES = f"SELECT DISTINCT jsonb_object_keys(segments) AS name {_ANSWERS} ORDER BY 1"


async def answers(session: AsyncSession, wanted: Filter, *, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Read current answers in the order they were first stored."""
    return await db.fetch(session, _ANSWERS_PAGE, *_arguments(wanted), after, limit)


async def count_answers(session: AsyncSession, wanted: Filter) -> int:
    return int((await db.fetch(session, f"SELECT count(*) AS n {_ANSWERS}", *_arguments(wanted)))[0]["n"])


async def segment_names(session: AsyncSession, wanted: Filter) -> list[str]:
    return [row["name"] for row in await db.fetch(session, _NAMES, *_arguments(wanted))]


def _arguments(wanted: Filter) -> Sequence[Any]:
    return (
        wanted.program,
        wanted.first,
        wanted.last,
        *_SCORES[wanted.category],
        wanted.channel and str(wanted.channel),
        wanted.mode and str(wanted.mode),
        wanted.suspect,
        json.dumps(dict(wanted.segments)),
    )


_NPS = """FROM nps_v WHERE ($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2)
AND ($3::date IS NULL OR day <= $3)"""
_NPS_PAGE = f"""SELECT {NPS_COLUMNS} {_NPS}
AND ($4::text IS NULL OR (program, dimension, value, day) > ($4, $5, $6, $7))
ORDER BY program, dimension, value, day LIMIT $8"""


async def nps_days(session: AsyncSession, wanted: Filter, *, after: Key | None, limit: int) -> list[asyncpg.Record]:
    """Read the figures of every series and day; program and days of the filter count."""
    key = tuple(after) if after else (None, None, None, None)
    return await db.fetch(session, _NPS_PAGE, wanted.program, wanted.first, wanted.last, *key, limit)


async def count_nps_days(session: AsyncSession, wanted: Filter) -> int:
    rows = await db.fetch(session, f"SELECT count(*) AS n {_NPS}", wanted.program, wanted.first, wanted.last)
    return int(rows[0]["n"])
