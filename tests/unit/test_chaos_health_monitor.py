"""The health monitor of a chaos run finds a backlog that does not fall."""

from __future__ import annotations

import pytest

from tests.chaos.health_monitor import Backlog


@pytest.mark.parametrize(
    ("polls", "stalled_s"),
    [
        pytest.param([(5, 1), (5, 1), (5, 1)], 4.0, id="nothing is done"),
        pytest.param([(5, 1), (7, 1), (9, 1)], 4.0, id="it grows"),
        pytest.param([(5, 1), (5, 1), (4, 1)], 0.0, id="it falls"),
        pytest.param([(5, 1), (9, 1), (9, 2)], 0.0, id="the oldest is another one"),
        pytest.param([(5, 1), (5, 1), (0, 0)], 0.0, id="all is done"),
        pytest.param([(0, 0), (0, 0), (3, 1)], 0.0, id="it is new"),
    ],
)
def test_time_in_which_a_backlog_does_not_fall_is_counted_while_the_service_is_ready(
    polls: list[tuple[int, int]], stalled_s: float
) -> None:
    backlog = Backlog()
    for left, mark in polls:
        backlog.update(left, mark, ready_s=2.0)
    assert backlog.stalled_s == stalled_s


def test_time_without_a_ready_process_does_not_count() -> None:
    backlog = Backlog(left=5, mark=1, stalled_s=2.0)
    backlog.update(5, 1, ready_s=0.0)
    assert backlog.stalled_s == 2.0
