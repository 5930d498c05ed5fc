"""The figures of the dashboard as a file for spreadsheets: the whole, and every value of the chosen dimension."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from io import StringIO

from services.scoring.dashboard.query import DashboardData, ScoreData
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.periods import Days
from services.scoring.domain.score import Figure
from shared.tables.writing import BOM, SpreadsheetWriter

COLUMNS = (
    *("dimension", "value", "from", "to", "answers", "promoters", "passives", "detractors", "nps", "low", "high"),
    *("asked", "answered", "silent", "waiting", "response_rate"),
    *("compared_from", "compared_to", "with_from", "with_to", "change", "change_low", "change_high"),
)


def write(data: DashboardData) -> str:
    """Return the file; without answers it has the names of the columns only."""
    text = StringIO()
    text.write(BOM)
    writer = SpreadsheetWriter(text)
    writer.write([COLUMNS])
    if data.score is not None:
        writer.write(_rows(data, data.score))
    return text.getvalue()


def _rows(data: DashboardData, score: ScoreData) -> Iterator[tuple[object, ...]]:
    moved = score.moved
    days = data.days.first, data.days.last
    compared = (*_days(moved.days.now), *_days(moved.days.then)) if moved else (None,) * 4
    yield ("", "", *days, *_figures(score.whole), *compared, *_change(moved.difference if moved else None))
    for figure in score.values:
        change = score.value_changes.get(figure.value)
        yield (score.by, figure.value, *days, *_figures(figure), *compared, *_change(change))


def _days(days: Days) -> tuple[date, date]:
    return days.first, days.last


def _figures(figure: Figure) -> tuple[object, ...]:
    tally, interval = figure.tally, figure.interval
    low, high = (interval.low, interval.high) if interval else (None, None)
    points = (_rounded(each) for each in (figure.nps, low, high))
    people = figure.invited, figure.answered, figure.silent, figure.waiting, _rounded(figure.response_rate, 4)
    return tally.n, tally.promoters, tally.passives, tally.detractors, *points, *people


def _change(change: ScoreDifference | None) -> tuple[float | None, ...]:
    if change is None:
        return None, None, None
    return _rounded(change.points), _rounded(change.interval.low), _rounded(change.interval.high)


def _rounded(figure: float | None, places: int = 2) -> float | None:
    return None if figure is None else round(figure, places)
