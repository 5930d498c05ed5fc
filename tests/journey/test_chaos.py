"""`make chaos`, short: processes die at every named point while everything around them goes away and comes back."""

from __future__ import annotations

import pytest

from tests.chaos import run
from tests.chaos.run import Plan
from tests.kafka_broker import require_broker


@pytest.mark.parametrize(
    "transport",
    ["postgres", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.xdist_group("kafka")])],
)
async def test_nothing_is_lost_and_nothing_is_sent_twice_while_processes_die(transport: str) -> None:
    if transport == "kafka":
        require_broker()
    report = await run.run(Plan(invitations=300, kills=8, seed=4, transport=transport))
    assert report.verdict.wrong == []
    assert (report.verdict.lost, report.verdict.duplicates) == (0, 0)
    assert report.kills >= 8
