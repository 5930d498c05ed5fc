"""Buckets: counters per program, dimension, value and day.

Table `buckets` counts answers on the day they were given, table `invited` invitations on the day they were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import Tally
from services.scoring.models.scores import COUNTERS, OTHER_COUNTERS, SCORE_COLUMNS
from shared.database import db
from shared.database.session import Session

NO_COUNTS: Counter[BucketKey] = Counter()
_KEY = "program, dimension, value, day"
_KEY_TYPES = "$1::text[], $2::text[], $3::text[], $4::date[]"
# Python sorts by code point, so PostgreSQL must too: all writers lock rows in the same order, or they deadlock
_KEY_ORDER = 'program COLLATE "C", dimension COLLATE "C", value COLLATE "C", day'

_ADD = f"""added_up AS (INSERT INTO buckets AS b ({_KEY}, {", ".join(COUNTERS)})
SELECT * FROM unnest({_KEY_TYPES}, {", ".join(f"${number}::int[]" for number in range(5, 5 + len(COUNTERS)))})
ON CONFLICT ({_KEY}) DO UPDATE SET {", ".join(f"{name} = b.{name} + excluded.{name}" for name in COUNTERS)},
revision = b.revision + 1 RETURNING 1)"""  # noqa: S608 - column names only

_INVITED = len(COUNTERS) + 4
_INVITED_TYPES = ("text[]", "text[]", "text[]", "date[]", "int[]", "int[]")
# reading from added_up makes PostgreSQL run it first: all writers must lock buckets before invited
_ADD_INVITED = f"""invited_more AS (INSERT INTO invited AS b ({_KEY}, invited, answered)
SELECT k.* FROM unnest({", ".join(f"${_INVITED + n}::{kind}" for n, kind in enumerate(_INVITED_TYPES, 1))}) AS k,
(SELECT count(*) FROM added_up) AS first
ON CONFLICT ({_KEY}) DO UPDATE SET invited = b.invited + excluded.invited, answered = b.answered + excluded.answered,
revision = b.revision + 1)"""  # noqa: S608 - column names only


def add_statement(
    tallies: Mapping[BucketKey, Tally],
    *,
    invited: Counter[BucketKey] = NO_COUNTS,
    answered: Counter[BucketKey] = NO_COUNTS,
) -> db.Write | None:
    """Build the statement that adds to buckets, negative counts subtract; None when there is nothing to add."""
    if not (tallies or invited or answered):
        return None
    keys, asked = sorted(tallies), sorted({*invited, *answered})
    counts_by_key = [counters(tallies[key]) for key in keys]
    counts = [[invited[key] for key in asked], [answered[key] for key in asked]]
    columns = [*_columns(keys, 4), *_columns(counts_by_key, len(COUNTERS)), *_columns(asked, 4), *counts]
    return db.Write(f"{_ADD}, {_ADD_INVITED}", columns)


def counters(tally: Tally) -> list[int]:
    """Return the counts in the order of COUNTERS."""
    return [*tally.by_score, *(getattr(tally, name) for name in OTHER_COUNTERS)]


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


_UNPUBLISHED = " UNION ".join(
    f"SELECT {_KEY} FROM {table} WHERE revision > published_revision"  # noqa: S608 - our own two tables
    for table in ("buckets", "invited")
)
_CHANGED = f"SELECT * FROM ({_UNPUBLISHED}) AS changed ORDER BY {_KEY_ORDER} LIMIT $1"  # noqa: S608 - constants only


def _claim(table: str) -> str:
    return f"""WITH changed AS (SELECT {_KEY} FROM {table} JOIN unnest({_KEY_TYPES}) AS k ({_KEY}) USING ({_KEY})
ORDER BY {_KEY_ORDER} FOR UPDATE OF {table})
UPDATE {table} t SET published_revision = t.revision FROM changed c
WHERE (t.program, t.dimension, t.value, t.day) = (c.program, c.dimension, c.value, c.day)
RETURNING t.*"""  # noqa: S608 - our own two tables


_CLAIM_BUCKETS, _CLAIM_INVITED = _claim("buckets"), _claim("invited")
_AGAIN_BUCKETS, _AGAIN_INVITED = (
    claim.replace("published_revision = t.revision", "published_revision = t.revision - 1")
    for claim in (_CLAIM_BUCKETS, _CLAIM_INVITED)
)


@dataclass(frozen=True, slots=True)
class ChangedBucket:
    """The current counts of a bucket; `sequence` grows with every change of its answers or its invitations."""

    key: BucketKey
    tally: Tally
    invited: int
    sequence: int


async def claim_changed(session: Session, *, limit: int) -> list[ChangedBucket]:
    """Mark changed buckets as published and return them; returns none while another process is doing so."""
    if not (await db.fetch(session, "SELECT pg_try_advisory_xact_lock($1) AS ours", _PUBLISHING))[0]["ours"]:
        return []
    keys = [BucketKey(*row) for row in await db.fetch(session, _CHANGED, limit)]
    if not keys:
        return []
    # an event has the counts of both tables; the UPDATE returns them, so that exactly the marked revision is published
    answers, asked = [
        {BucketKey(*row[:4]): row for row in await db.fetch(session, claim, *_columns(keys, 4))}
        for claim in (_CLAIM_BUCKETS, _CLAIM_INVITED)
    ]
    return [_changed(key, answers.get(key), asked.get(key)) for key in keys]


async def mark_changed(session: Session, keys: Sequence[BucketKey]) -> None:
    """Mark these buckets as unpublished, so that they are published again."""
    if keys:
        for again in (_AGAIN_BUCKETS, _AGAIN_INVITED):
            await db.fetch(session, again, *_columns(keys, 4))


def _changed(key: BucketKey, answers: asyncpg.Record | None, asked: asyncpg.Record | None) -> ChangedBucket:
    return ChangedBucket(
        key,
        tally_of_row(answers) if answers else Tally(),
        asked["invited"] if asked else 0,
        sum(half["revision"] for half in (answers, asked) if half),
    )


_PUBLISHING = db.lock_number("scoring", "publisher")


def tally_of_row(row: asyncpg.Record) -> Tally:
    return Tally(tuple(row[name] for name in SCORE_COLUMNS), **{name: row[name] for name in OTHER_COUNTERS})
