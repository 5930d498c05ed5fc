"""What the score pages read: sums of buckets where buckets hold it, else a count of the answers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.changes import SeriesKey
from services.scoring.domain.periods import Period
from services.scoring.domain.score import Definition, Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.models import COUNTERS
from services.scoring.repository.scores import counting
from services.scoring.repository.scores.buckets import tally_of_row
from services.scoring.repository.scores.counting import LABELS
from shared.database import db

FigureKey = tuple[str, ...]  # the values, and the label of the period
MOST_COUNTED = 300_000  # answers, one by one; some seconds (docs/performance.md)


class TooManyToCount(Exception):
    """What is asked for is not kept per day, and has too many answers to be counted now: ask for fewer days."""

    def __init__(self, answers: int) -> None:
        super().__init__(f"{answers} answers")
        self.answers = answers


_DAYS = "($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)"
_TALLY = ", ".join(f"sum({name})::int AS {name}" for name in COUNTERS)
_ONE = "dimension = $4 AND ($5::text IS NULL OR value = $5)"
_SUMS = f"""SELECT value, coalesce(to_char(day, $6), '') AS period, {_TALLY}
FROM buckets WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - column names only
_INVITED = f"""SELECT value, coalesce(to_char(day, $6), '') AS period,
sum(invited)::int AS invited, sum(answered)::int AS answered
FROM invited WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - our own conditions


async def series(
    session: AsyncSession, which: Slice, *, dimensions: Sequence[str] = (), period: Period | None = None
) -> list[Figure]:
    """Sum up each value of a dimension, or each pair of two, and each period of it, in order."""
    kept = which.kept_as(dimensions)
    of = *which.days, *(kept or ()), LABELS[period] if period else ""
    if kept and which.definition is Definition.EVERY_ANSWER:
        tallies: dict[FigureKey, Tally] = {
            (row["value"], row["period"]): tally_of_row(row) for row in await db.fetch(session, _SUMS, *of)
        }
    else:
        tallies = await _counted(session, which, dimensions, period)
    if kept:
        rows = await db.fetch(session, _INVITED, *of)
        asked: dict[FigureKey, tuple[int, int]] = {
            (row["value"], row["period"]): (row["invited"], row["answered"]) for row in rows
        }
    else:
        asked = await counting.invited(session, which, dimensions=dimensions, period=period)
    return [
        Figure(key[:-1], key[-1] or None, tallies.get(key, Tally()), *asked.get(key, (0, 0)))
        for key in sorted({*tallies, *asked})
    ]


async def _counted(
    session: AsyncSession, which: Slice, dimensions: Sequence[str], period: Period | None
) -> dict[FigureKey, Tally]:
    size = (await whole(session, replace(which, definition=Definition.EVERY_ANSWER))).tally.n
    if size > MOST_COUNTED:
        raise TooManyToCount(size)
    return await counting.tallies(session, which, dimensions=dimensions, period=period)


async def whole(session: AsyncSession, which: Slice) -> Figure:
    """Sum up everything in the slice."""
    return next(iter(await series(session, which)), Figure())


_TALLIES = f"""SELECT dimension, value, {_TALLY} FROM buckets
WHERE {_DAYS} AND dimension = ANY($4::text[]) GROUP BY 1, 2"""  # noqa: S608 - column names only


async def tallies(session: AsyncSession, which: Slice, dimensions: Sequence[str]) -> dict[SeriesKey, Tally]:
    """Sum up several dimensions at once; the slice's segment and definition are not looked at."""
    rows = await db.fetch(session, _TALLIES, *which.days, list(dimensions))
    return {(row["dimension"], row["value"]): tally_of_row(row) for row in rows}
