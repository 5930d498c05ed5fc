"""Rows of the dashboard's cards."""

from __future__ import annotations

from services.scoring.dashboard.cards import hour_rows
from services.scoring.domain.funnel import Funnel, StepCounts
from services.scoring.domain.score import FEW


def test_hour_of_a_few_messages_is_left_out() -> None:
    hours = {
        9: StepCounts(reached=FEW, answered=6),
        10: StepCounts(reached=FEW - 1, answered=FEW - 1),
        None: StepCounts(reached=FEW),
    }
    rows = hour_rows(Funnel(by_hour=hours))
    assert [(row.hour, row.sent, row.share) for row in rows] == [(9, FEW, 0.2)]
