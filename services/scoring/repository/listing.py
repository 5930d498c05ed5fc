"""Pages of answers and daily figures in a stable order, read from the public SQL views."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import Tally
from services.scoring.domain.stores.names import NO_STORES, STORE, StoreNames
from services.scoring.repository.comments import search
from services.scoring.repository.scores.counting import Arguments
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind, Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session

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
    words: str | None = None  # as in a web search: all of them, "a phrase", or, -without
    tag: str | None = None
    quotable: bool | None = None
    commented: bool | None = None
    test: bool | None = None
    stores: StoreNames = NO_STORES
    scope: StaffScope = WHOLE


_TAGS = "ARRAY(SELECT tag FROM answer_tags t WHERE t.answer_id = v.answer_id ORDER BY tag) AS tags"
_TAGGED = "answer_id IN (SELECT t.answer_id FROM answer_tags t WHERE t.tag = {})"
_CONSENT = "FROM quotes q WHERE q.withdrawn_at IS NULL"
# words that the respondent typed, of an answer that counts
_MAY_BE_QUOTED = f"NOT suspect AND NOT test AND mode = '{AnswerMode.SELF}' AND comment IS NOT NULL"
_QUOTE_NAME = (
    f"CASE WHEN {_MAY_BE_QUOTED} THEN (SELECT q.name {_CONSENT} AND q.answer_id = v.answer_id) END AS quote_name"
)
_QUOTABLE = f"({_MAY_BE_QUOTED} AND answer_id IN (SELECT q.answer_id {_CONSENT})) = {{}}"
_PAGE = f"""SELECT {ANSWER_COLUMNS}, {_TAGS}, {_QUOTE_NAME} FROM answers_v v
WHERE {{which}} ORDER BY answer_id {{order}} LIMIT {{limit}}"""  # noqa: S608 - our own expressions
_NAMED = """SELECT a.answer_id FROM answers a JOIN invitations i ON i.id = a.invitation_id WHERE i.asked_id IS NULL"""
_COUNT = "SELECT count(*) AS n FROM answers_v WHERE {which}"
_BY_TAG = """SELECT t.tag, score, mode, count(*)::int AS n
FROM answer_tags t JOIN answers_v v USING (answer_id) WHERE {which} GROUP BY 1, 2, 3"""
_NAMES = "SELECT DISTINCT jsonb_object_keys(segments) AS name FROM answers_v WHERE {which} ORDER BY 1"


async def answers(
    session: Session, answer_filter: AnswerFilter, *, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Read a page of current answers in the order they were first stored; `after` is the last id of the page before."""
    of = Arguments()
    which = _which(answer_filter, of, after=after)
    return await db.fetch(session, _PAGE.format(which=which, order="ASC", limit=of.add(limit)), *of)


async def newest(
    session: Session, answer_filter: AnswerFilter, *, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Read a page of current answers, the latest first stored first; `before` is the last id of the page before."""
    of = Arguments()
    which = _which(answer_filter, of, before=before)
    return await db.fetch(session, _PAGE.format(which=which, order="DESC", limit=of.add(limit)), *of)


async def count_answers(session: Session, answer_filter: AnswerFilter) -> int:
    of = Arguments()
    return int((await db.fetch(session, _COUNT.format(which=_which(answer_filter, of)), *of))[0]["n"])


async def by_tag(session: Session, answer_filter: AnswerFilter) -> dict[str, Tally]:
    """Count answers by their tags; one with several counts under each. An unknown mode is logged and left out."""
    of, found = Arguments(), defaultdict[str, Tally](Tally)
    for row in await db.fetch(session, _BY_TAG.format(which=_which(answer_filter, of)), *of):
        with isolated("stored_answer", service=Service.SCORING, mode=row["mode"]):
            found[row["tag"]] += Tally.of_one(row["score"], mode=AnswerMode(row["mode"])) * row["n"]
    return dict(found)


async def segment_names(session: Session, answer_filter: AnswerFilter) -> list[str]:
    of = Arguments()
    return [row["name"] for row in await db.fetch(session, _NAMES.format(which=_which(answer_filter, of)), *of)]


def _which(
    answer_filter: AnswerFilter, arguments: Arguments, *, after: UUID | None = None, before: UUID | None = None
) -> str:
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
        search.FOUND: answer_filter.words and search.query_of(answer_filter.words),
        _QUOTABLE: answer_filter.quotable,
        _TAGGED: answer_filter.tag,
        "(comment IS NOT NULL) = {}": answer_filter.commented,
        "test = {}": answer_filter.test,
        "answer_id > {}": after,
        "answer_id < {}": before,
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
    session: Session, answer_filter: AnswerFilter, *, after: BucketKey | None, limit: int
) -> list[asyncpg.Record]:
    """Read a page of figures per series and day; only program and days of the filter are used."""
    key = tuple(after) if after else (None, None, None, None)
    return await db.fetch(
        session, _NPS_PAGE, answer_filter.program, answer_filter.first, answer_filter.last, *key, limit
    )


async def count_nps_days(session: Session, answer_filter: AnswerFilter) -> int:
    rows = await db.fetch(
        session, f"SELECT count(*) AS n {_NPS}", answer_filter.program, answer_filter.first, answer_filter.last
    )
    return int(rows[0]["n"])
