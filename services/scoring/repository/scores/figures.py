"""Figures of a slice: summed up from buckets, or counted answer by answer for what buckets do not hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from services.scoring.domain.changes import SeriesKey
from services.scoring.domain.periods import Period
from services.scoring.domain.score import Definition, Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import STORE
from services.scoring.models.scores import COUNTERS
from services.scoring.repository.scores import counting
from services.scoring.repository.scores.buckets import tally_of_row
from services.scoring.repository.scores.counting import LABELS
from shared.database import db
from shared.database.session import Session

_PEOPLE = ("invited", "answered", "silent")
FigureKey = tuple[str, ...]  # the values, and the label of the period
MOST_COUNTED = 300_000  # answers counted one by one; takes some seconds (docs/performance.md)


class TooManyToCount(Exception):
    """More than MOST_COUNTED answers of a figure that buckets do not hold: the caller should ask for fewer days."""

    def __init__(self, answers: int) -> None:
        super().__init__(f"{answers} answers")
        self.answers = answers


_DAYS = "($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)"
_TALLY = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)
_ONE = "dimension = $4 AND ($5::text[] IS NULL OR value = ANY($5))"
_SUMS = f"""SELECT value, coalesce(to_char(day, $6), '') AS period, {_TALLY}
FROM buckets WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - column names only
_INVITED = f"""SELECT value, coalesce(to_char(day, $6), '') AS period,
sum(invited)::bigint AS invited, sum(answered)::bigint AS answered, sum(silent)::bigint AS silent
FROM (SELECT program, dimension, value, day, invited, answered, 0 AS silent FROM invited
UNION ALL SELECT program, dimension, value, day, 0, 0, amount FROM journeys WHERE stage = 'ended') AS asked
WHERE {_DAYS} AND {_ONE} GROUP BY 1, 2"""  # noqa: S608 - our own conditions


async def series(
    session: Session, selected: Slice, *, dimensions: Sequence[str] = (), period: Period | None = None
) -> list[Figure]:
    """Read a figure per value of the dimension, or per pair of values of two, and per period; sorted by these.

    Raises TooManyToCount.
    """
    kept = selected.kept_as(dimensions)
    arguments = *selected.days, *(kept or ()), LABELS[period] if period else ""
    if kept and selected.definition is Definition.EVERY_ANSWER:
        tallies: dict[FigureKey, Tally] = {
            (row["value"], row["period"]): tally_of_row(row) for row in await db.fetch(session, _SUMS, *arguments)
        }
    else:
        tallies = await _counted(session, selected, dimensions, period)
    if kept:
        rows = await db.fetch(session, _INVITED, *arguments)
        asked: dict[FigureKey, tuple[int, ...]] = {
            (row["value"], row["period"]): (row["invited"], row["answered"], row["silent"]) for row in rows
        }
    else:
        asked = await counting.invited(session, selected, dimensions=dimensions, period=period)
    split = [kept[0]] if kept else dimensions or ["all"]
    is_sum = kept is not None and selected.segment is None and list(dimensions) in ([], ["all"])

    def shown(values: FigureKey) -> tuple[str, ...]:
        return ("",) if is_sum else selected.shown(split, values)

    answers: defaultdict[FigureKey, Tally] = defaultdict(Tally)
    for key, tally in tallies.items():
        answers[*shown(key[:-1]), key[-1]] += tally
    people: defaultdict[FigureKey, Counter[str]] = defaultdict(Counter)
    for key, counts in asked.items():
        people[*shown(key[:-1]), key[-1]] += Counter(dict(zip(_PEOPLE, counts, strict=True)))
    return [
        Figure(key[:-1], key[-1] or None, answers[key], *(people[key][name] for name in _PEOPLE))
        for key in sorted({*answers, *people})
    ]


async def _counted(
    session: Session, selected: Slice, dimensions: Sequence[str], period: Period | None
) -> dict[FigureKey, Tally]:
    segment = selected.segment if selected.counted_as is not None else None  # without one, its answers are more
    counted = replace(selected, definition=Definition.EVERY_ANSWER, segment=segment)
    size = (await whole(session, counted)).tally.n
    if size > MOST_COUNTED:
        raise TooManyToCount(size)
    return await counting.tallies(session, selected, dimensions=dimensions, period=period)


async def whole(session: Session, selected: Slice) -> Figure:
    """Read the figure of the whole slice."""
    return next(iter(await series(session, selected)), Figure())


_TALLIES = f"""SELECT dimension, value, {_TALLY} FROM buckets
WHERE {_DAYS} AND dimension = ANY($4::text[]) GROUP BY 1, 2"""  # noqa: S608 - column names only


async def tallies(session: Session, selected: Slice, dimensions: Sequence[str]) -> dict[SeriesKey, Tally]:
    """Sum up all values of several dimensions in one query; ignores the segment and definition of the slice.

    For who sees only some stores it sums up these, and no other dimension.
    """
    rows = await db.fetch(session, _TALLIES, *selected.days, list(dimensions))
    sums: defaultdict[SeriesKey, Tally] = defaultdict(Tally)
    for row in rows:
        if selected.within is not None and not (row["dimension"] == STORE and row["value"] in selected.within):
            continue
        sums[row["dimension"], selected.stores.shown(row["dimension"], row["value"])] += tally_of_row(row)
    return dict(sums)
