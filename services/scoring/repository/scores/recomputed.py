"""Buckets as stored, and as recomputed from answers and invitations, for `earshot verify`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.dimensions import BucketKey, answer_keys, invited_keys
from services.scoring.domain.score import Tally
from services.scoring.models.scores import COUNTERS
from services.scoring.repository import answers
from services.scoring.repository.scores.buckets import tally_of_row
from shared.database import db
from shared.database.session import Session

_KEY = "program, dimension, value, day"
_STORED = f"SELECT {_KEY}, {', '.join(COUNTERS)} FROM buckets"  # noqa: S608 - column names only
_ANSWERS = """SELECT i.program, i.dimensions, a.* FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE i.counted{which}"""
_STORED_INVITED = f"SELECT {_KEY}, invited, answered FROM invited"  # noqa: S608 - column names only
_INVITATIONS = """SELECT i.program, i.dimensions, i.invited_day, coalesce(NOT a.suspect, false) AS answered,
count(*) AS n FROM invitations i LEFT JOIN answers a ON a.invitation_id = i.id
WHERE i.counted{which} AND a.mode IS DISTINCT FROM 'imported' GROUP BY 1, 2, 3, 4"""


async def _of(session: Session, sql: str, ids: Sequence[UUID] | None) -> list[db.Row]:
    if ids is None:
        return await db.fetch(session, sql.format(which=""))
    return await db.fetch(session, sql.format(which=" AND i.id = ANY($1::uuid[])"), list(ids))


async def stored(session: Session) -> dict[BucketKey, Tally]:
    return {BucketKey(*row[:4]): tally_of_row(row) for row in await db.fetch(session, _STORED)}


async def recomputed(session: Session, ids: Sequence[UUID] | None = None) -> dict[BucketKey, Tally]:
    """Compute the buckets from the answers, of these invitations or of all."""
    sums: defaultdict[BucketKey, Tally] = defaultdict(Tally)
    for row in await _of(session, _ANSWERS, ids):
        answer = answers.of_row(row)
        for key in answer_keys(row["program"], row["dimensions"], answer):
            sums[key] += answer.tally
    return dict(sums)


async def stored_invited(session: Session) -> dict[BucketKey, tuple[int, int]]:
    return {BucketKey(*row[:4]): (row["invited"], row["answered"]) for row in await db.fetch(session, _STORED_INVITED)}


async def recomputed_invited(session: Session, ids: Sequence[UUID] | None = None) -> dict[BucketKey, tuple[int, int]]:
    """Compute (invited, answered) from these invitations or from all.

    Withdrawn unanswered ones and suspect answers do not count.
    """
    sums: defaultdict[BucketKey, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in await _of(session, _INVITATIONS, ids):
        for key in invited_keys(row["program"], row["dimensions"], row["invited_day"]):
            invited, answered = sums[key]
            sums[key] = invited + row["n"], answered + row["n"] * row["answered"]
    return dict(sums)
