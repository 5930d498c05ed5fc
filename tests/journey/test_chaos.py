"""A short `make chaos`: processes are killed at crash points while the servers around them fail and return."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import run
from tests.chaos.setup import Plan
from tests.kafka_broker import require_broker

KILLS = 5


@pytest.mark.parametrize(
    "transport", ["postgres", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.xdist_group("kafka")])]
)
async def test_nothing_is_lost_and_nothing_is_sent_twice_while_processes_are_killed(
    transport: str, tmp_path: Path
) -> None:
    if transport == "kafka":
        require_broker()
    report = await run.run(Plan(invitations=300, kills=KILLS, seed=4, logs=tmp_path / "logs", transport=transport))
    assert report.verdict.wrong == []
    assert (report.verdict.lost, report.verdict.duplicates, report.verdict.answers_lost, report.undetected) == (
        0,
        0,
        0,
        0,
    )
    assert report.kills >= KILLS
