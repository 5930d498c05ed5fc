"""The witness of the crash run must itself be able to fail."""

from __future__ import annotations

import pytest

from tests.chaos.witness import Task


@pytest.mark.parametrize(
    ("looks", "still_s"),
    [
        pytest.param([(5, 1), (5, 1), (5, 1)], 4.0, id="nothing is done"),
        pytest.param([(5, 1), (7, 1), (9, 1)], 4.0, id="more comes and nothing is done"),
        pytest.param([(5, 1), (5, 1), (4, 1)], 0.0, id="it falls"),
        pytest.param([(5, 1), (9, 1), (9, 2)], 0.0, id="the oldest is another one"),
        pytest.param([(5, 1), (5, 1), (0, 0)], 0.0, id="all is done"),
        pytest.param([(0, 0), (0, 0), (3, 1)], 0.0, id="it has only come"),
    ],
)
def test_time_is_counted_in_which_nothing_falls_while_somebody_says_that_he_is_well(
    looks: list[tuple[int, int]], still_s: float
) -> None:
    task = Task()
    for left, mark in looks:
        task.seen(left, mark, well_s=2.0)
    assert task.still_s == still_s


def test_time_in_which_nobody_says_that_he_is_well_does_not_count() -> None:
    task = Task(left=5, mark=1, still_s=2.0)
    task.seen(5, 1, well_s=0.0)
    assert task.still_s == 2.0
