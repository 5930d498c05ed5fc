"""Rows of the dashboard's cards."""

from __future__ import annotations

from services.scoring.dashboard.rows import hour_bars
from services.scoring.domain.funnel import Funnel, StepCounts
from services.scoring.domain.score import FEW


def test_hour_of_a_few_messages_is_left_out() -> None:
    hours = {
        9: StepCounts(reached=FEW, answered=6),
        10: StepCounts(reached=FEW - 1, answered=FEW - 1),
        None: StepCounts(reached=FEW),
    }
    bars = hour_bars(Funnel(by_hour=hours), height=10, step=24)
    assert [(bar.hour, bar.sent, bar.share) for bar in bars] == [(9, FEW, 0.2)]
