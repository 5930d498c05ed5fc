"""Pages of answers and daily figures in a stable order, read from the public SQL views."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.stores.names import NO_STORES, STORE, StoreNames
from services.scoring.repository.scores.counting import Arguments
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind
from shared.database import db

ANSWER_COLUMNS = (
    "answer_id, invitation_id, customer_id, program, program_version, version, score, category, reasons, comment, "
    "extra, segments, mode, step, channel, suspect, test, answered_at, day, respondent_id, event_source, event_id, "
    "event_subject"
)
NPS_COLUMNS = (
    "program, dimension, value, day, n, promoters, passives, detractors, nps, by_score, operators, imported, suspects, "
    "invited, answered, interval_low, interval_high"
)


@dataclass(frozen=True, slots=True)
class AnswerFilter:
    """Conditions that answers must all meet; None sets no condition, days are inclusive."""

    program: str | None = None
    first: date | None = None
    last: date | None = None
    category: Category | None = None
    channel: ChannelKind | None = None
    mode: AnswerMode | None = None
    suspect: bool | None = None
    segments: Mapping[str, str] = field(default_factory=dict)
    invitation: UUID | None = None
    respondents: Sequence[str] | None = None
    stores: StoreNames = NO_STORES
    scope: StaffScope = WHOLE


_PAGE = f"SELECT {ANSWER_COLUMNS} FROM answers_v WHERE {{which}} ORDER BY answer_id LIMIT {{limit}}"  # noqa: S608 - column names only
_NAMED = """SELECT a.answer_id FROM answers a JOIN invitations i ON i.id = a.invitation_id WHERE i.asked_id IS NULL"""
_COUNT = "SELECT count(*) AS n FROM answers_v WHERE {which}"
_NAMES = "SELECT DISTINCT jsonb_object_keys(segments) AS name FROM answers_v WHERE {which} ORDER BY 1"


async def answers(
    session: AsyncSession, answer_filter: AnswerFilter, *, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Read a page of current answers in the order they were first stored; `after` is the last id of the page before."""
    of = Arguments()
    return await db.fetch(session, _PAGE.format(which=_which(answer_filter, of, after=after), limit=of.add(limit)), *of)


async def count_answers(session: AsyncSession, answer_filter: AnswerFilter) -> int:
    of = Arguments()
    return int((await db.fetch(session, _COUNT.format(which=_which(answer_filter, of)), *of))[0]["n"])


async def segment_names(session: AsyncSession, answer_filter: AnswerFilter) -> list[str]:
    of = Arguments()
    return [row["name"] for row in await db.fetch(session, _NAMES.format(which=_which(answer_filter, of)), *of)]


def _which(answer_filter: AnswerFilter, arguments: Arguments, *, after: UUID | None = None) -> str:
    """Return the condition with only the filters that are set: others would keep PostgreSQL from using an index."""
    programs, within = answer_filter.scope.arguments
    tests: Mapping[str, Any] = {
        "program = ANY({}::text[])": programs,
        "segments->>'store' = ANY({}::text[])": within,
        "program = {}": answer_filter.program,
        "day >= {}": answer_filter.first,
        "day <= {}": answer_filter.last,
        "category = {}": answer_filter.category and str(answer_filter.category),
        "channel = {}": answer_filter.channel and str(answer_filter.channel),
        "mode = {}": answer_filter.mode and str(answer_filter.mode),
        "suspect = {}": answer_filter.suspect,
        "segments @> ANY({}::jsonb[])": _segments(answer_filter) if answer_filter.segments else None,
        f"answer_id IN ({_NAMED} AND i.id = {{}})": answer_filter.invitation,
        f"answer_id IN ({_NAMED} AND i.respondent_id = ANY({{}}))": answer_filter.respondents,
        "answer_id > {}": after,
    }
    given = [test.format(arguments.add(value)) for test, value in tests.items() if value is not None]
    return " AND ".join(given) or "true"


def _segments(answer_filter: AnswerFilter) -> list[str]:
    """Return the segments as JSON, one object for each name of the store."""
    segments = dict(answer_filter.segments)
    stores = answer_filter.stores.stored(STORE, segments[STORE]) if STORE in segments else []
    return [json.dumps({**segments, STORE: store}) for store in stores] or [json.dumps(segments)]


_NPS = """FROM nps_v WHERE ($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2)
AND ($3::date IS NULL OR day <= $3)"""
_NPS_PAGE = f"""SELECT {NPS_COLUMNS} {_NPS}
AND ($4::text IS NULL OR (program, dimension, value, day) > ($4, $5, $6, $7))
ORDER BY program, dimension, value, day LIMIT $8"""


async def nps_days(
    session: AsyncSession, answer_filter: AnswerFilter, *, after: BucketKey | None, limit: int
) -> list[asyncpg.Record]:
    """Read a page of figures per series and day; only program and days of the filter are used."""
    key = tuple(after) if after else (None, None, None, None)
    return await db.fetch(
        session, _NPS_PAGE, answer_filter.program, answer_filter.first, answer_filter.last, *key, limit
    )


async def count_nps_days(session: AsyncSession, answer_filter: AnswerFilter) -> int:
    rows = await db.fetch(
        session, f"SELECT count(*) AS n {_NPS}", answer_filter.program, answer_filter.first, answer_filter.last
    )
    return int(rows[0]["n"])
