"""Two periods are compared only where both have answers; else the longest two that have."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.scoring.domain.compared_days import ComparedDays, compared_days
from services.scoring.domain.periods import Against, Days

LAST = date(2026, 11, 18)


def ago(days: int) -> date:
    return LAST - timedelta(days=days)


def the_last(days: int) -> Days:
    return Days(ago(days - 1), LAST)


def answered(days: int, *, each: int = 5) -> dict[date, int]:
    return {ago(number): each for number in range(days)}


@pytest.mark.parametrize(
    ("asked", "against", "answers", "length", "chosen"),
    [
        pytest.param(30, "previous", answered(60), 30, True, id="as chosen"),
        pytest.param(90, "previous", answered(60), 30, False, id="half of the days that have answers"),
        pytest.param(90, "previous", answered(100), 50, False, id="ten days before are too few for ninety"),
        pytest.param(60, "previous", answered(100), 60, True, id="forty days before are enough for sixty"),
        pytest.param(30, "last_year", answered(60), 30, False, id="nothing a year ago: the days before"),
        pytest.param(30, "last_year", answered(400), 30, True, id="a year ago"),
        pytest.param(7, "previous", {ago(0): 30, ago(7): 30}, 7, True, id="one day in each"),
        pytest.param(8, "previous", {ago(0): 30, ago(7): 30}, 4, False, id="the day before is in the period"),
        pytest.param(90, "previous", answered(60) | {ago(150): 1}, 40, False, id="one answer long before"),
    ],
)
def test_longest_periods_with_enough_answers_are_compared(
    asked: int,
    against: Against,
    answers: dict[date, int],
    length: int,
    chosen: bool,  # noqa: FBT001 - a parameter of the cases
) -> None:
    now = the_last(length)
    assert compared_days(the_last(asked), against, answers) == ComparedDays(
        now, now.against(against if chosen else "previous"), chosen=chosen
    )


@pytest.mark.parametrize(
    "answers", [{}, {ago(0): 1}, {ago(0): 500}, answered(90, each=0), {ago(0): 30, ago(9): 29}, {ago(200): 500}]
)
def test_too_few_answers_are_not_compared(answers: dict[date, int]) -> None:
    assert compared_days(the_last(30), "previous", answers) is None
