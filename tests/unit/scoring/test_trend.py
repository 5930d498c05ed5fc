"""A trend has points only where there are enough answers, and labels that do not overprint each other."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from services.scoring.dashboard import charts
from services.scoring.dashboard.charts import TrendChart
from services.scoring.dashboard.rows import TrendRow
from services.scoring.domain.periods import Days, Period, labels_of
from services.scoring.domain.score import FEWEST_OF_A_POINT, Figure, Tally

LETTER = 7  # the widest, in units of the picture


def days_from(first: date, count: int) -> list[str]:
    return labels_of(Days(first, date.fromordinal(first.toordinal() + count - 1)), "day")


def figures(labels: list[str], counts: list[int]) -> list[Figure]:
    return [Figure(period=label, tally=Tally.of_one(9) * n) for label, n in zip(labels, counts, strict=True)]


def drawn(row: TrendRow, *, width: float = 760) -> TrendChart:
    chart = charts.trend(row, width=width, height=330, most_labels=8 if width > 400 else 4)
    assert chart is not None
    return chart


def test_trend_needs_two_periods_with_enough_answers() -> None:
    labels, enough = days_from(date(2026, 11, 1), 3), FEWEST_OF_A_POINT
    for counts in ([enough, 0, enough - 1], [enough - 1] * 3, [0, 500, 0]):
        assert charts.trend(TrendRow("day", labels, figures(labels, counts)), width=760, height=330) is None
    chart = drawn(TrendRow("day", labels, figures(labels, [enough, 0, enough])))
    assert len(chart.dots) == 2
    assert all(0 <= y <= 330 for y, _ in chart.grid)


def test_day_with_few_answers_is_a_gap() -> None:
    labels = days_from(date(2026, 11, 1), 7)
    row = TrendRow("day", labels, figures(labels, [0, 10, 12, 9, 30, 0, 10]))
    chart = drawn(row)
    assert [len(line.split()) for line in chart.lines] == [2, 1, 1]
    assert [dot.figure.tally.n for dot in chart.dots] == [10, 12, 30, 10]
    assert row.left_out == 1
    between = [later.x - earlier.x for earlier, later in pairwise(chart.dots)]
    assert between[1] == pytest.approx(2 * between[0], abs=0.2)  # gaps are as wide as the days they stand for


@pytest.mark.parametrize("width", [760, 320])
@pytest.mark.parametrize(
    ("period", "count"), [("day", 31), ("day", 365), ("week", 90), ("week", 3660), ("month", 3660), ("quarter", 700)]
)
@pytest.mark.parametrize("marked", [(0,), (0, 1), (0, 1, 2, 3), (0, 0, 30), (0, 29, 30, 60), (-1,), (-1, -2)])
def test_labels_do_not_overprint(period: Period, count: int, width: float, marked: tuple[int, ...]) -> None:
    labels = labels_of(Days(date(2016, 11, 1), date.fromordinal(date(2016, 11, 1).toordinal() + count - 1)), period)
    annotations = [(labels[number % len(labels)], "A new courier service in all of the region") for number in marked]
    row = TrendRow(period, labels, figures(labels, [40] * len(labels)), target=100, annotations=annotations)
    chart = drawn(row, width=width)
    below = [(x - LETTER * len(text) / 2, x + LETTER * len(text) / 2) for x, text, _ in reversed(chart.labels)]
    above = []
    for mark in chart.marks:
        wide = LETTER * len(mark.text)
        left = {"start": mark.x, "middle": mark.x - wide / 2, "end": mark.x - wide}[mark.anchor]
        above.append((left, left + wide))
    for row_of_labels in (below, above):
        assert all(left >= -2 and right <= width + 2 for left, right in row_of_labels)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(row_of_labels))
    assert chart.target_label is not None
    assert chart.target_label - 12 > 14  # is below the text of annotations
