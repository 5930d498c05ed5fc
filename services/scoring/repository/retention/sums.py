"""Sums by day of what deleted invitations and answers have added to the counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import Tally
from services.scoring.models.scores import COUNTERS
from services.scoring.repository.scores import recomputed
from services.scoring.repository.scores.buckets import counters, tally_of_row
from services.scoring.repository.scores.journeys import JourneyCounter
from shared.database import db
from shared.database.session import Session

_KEY = "program, dimension, value, day"
_KEY_TYPES = ("text", "text", "text", "date")


async def add(session: Session, ids: Sequence[UUID], *, funnel: Mapping[JourneyCounter, Decimal]) -> None:
    """Add what these invitations, their answers and their part of the funnel have added to the counters."""
    answers = await recomputed.recomputed(session, ids)
    invited = await recomputed.recomputed_invited(session, ids)
    await _add(session, _ADD_ANSWERS, [(*key, *counters(tally)) for key, tally in answers.items()])
    await _add(session, _ADD_INVITED, [(*key, *counts) for key, counts in invited.items()])
    await _add(session, _ADD_JOURNEYS, [(*key, amount) for key, amount in funnel.items()])


def _add_statement(table: str, key: Mapping[str, str], counts: Mapping[str, str]) -> str:
    columns = {**key, **counts}
    types = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), 1))
    added = ", ".join(f"{name} = d.{name} + excluded.{name}" for name in counts)
    return f"""INSERT INTO {table} AS d ({", ".join(columns)}) SELECT * FROM unnest({types})
ON CONFLICT ({", ".join(key)}) DO UPDATE SET {added}"""  # noqa: S608 - names of tables and columns only


_SERIES = dict(zip(_KEY.split(", "), _KEY_TYPES, strict=True))
_ADD_ANSWERS = _add_statement("dropped_answers", _SERIES, dict.fromkeys(COUNTERS, "int"))
_ADD_INVITED = _add_statement("dropped_invited", _SERIES, dict.fromkeys(("invited", "answered"), "int"))
_ADD_JOURNEYS = _add_statement(
    "dropped_journeys", {**_SERIES, "stage": "text", "detail": "text"}, {"amount": "numeric"}
)


async def _add(session: Session, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await db.fetch(session, statement, *(list(column) for column in zip(*rows, strict=True)))


_DROPPED_ANSWERS = f"SELECT {_KEY}, {', '.join(COUNTERS)} FROM dropped_answers"  # noqa: S608 - column names only


async def dropped_answers(session: Session) -> dict[BucketKey, Tally]:
    return {BucketKey(*row[:4]): tally_of_row(row) for row in await db.fetch(session, _DROPPED_ANSWERS)}


async def dropped_invited(session: Session) -> dict[BucketKey, tuple[int, int]]:
    rows = await db.fetch(session, f"SELECT {_KEY}, invited, answered FROM dropped_invited")  # noqa: S608 - a constant
    return {BucketKey(*row[:4]): (row["invited"], row["answered"]) for row in rows}


async def dropped_journeys(session: Session) -> dict[JourneyCounter, Decimal]:
    rows = await db.fetch(session, f"SELECT {_KEY}, stage, detail, amount FROM dropped_journeys")  # noqa: S608
    return {JourneyCounter(*row[:6]): row["amount"] for row in rows}
