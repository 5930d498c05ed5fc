"""Heartbeats and readiness checks of a process."""

from __future__ import annotations

import asyncio

import pytest

from shared import health
from shared.health import Health, Heartbeat, NotReady


def test_rest_is_no_silence() -> None:
    heartbeat = Heartbeat("relay", silent_s=0)
    heartbeat.beat(rest_s=3600)
    assert not heartbeat.is_silent
    heartbeat.beat(rest_s=-1)
    assert (heartbeat.is_silent, heartbeat.problem) == (True, "is stuck")


def test_outage_is_told_when_it_lasts_and_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = Heartbeat("relay")
    heartbeat.waits("the database is away")
    assert heartbeat.problem == ""
    monkeypatch.setattr(health, "WAITING_S", -1.0)
    heartbeat.waits("another reason, later")
    assert (heartbeat.problem, heartbeat.is_silent) == ("the database is away", False)
    heartbeat.beat()
    assert heartbeat.problem == ""


async def test_parts_of_a_process_share_what_they_know_under_names_of_their_own() -> None:
    async def away() -> None:
        raise NotReady("does not commit")

    whole = Health()
    for service in ("trigger", "scoring"):
        whole.for_service(service).require("database", away)
    assert await whole.for_service("trigger").problems() == {
        "trigger.database": "does not commit",
        "scoring.database": "does not commit",
    }
    with pytest.raises(ValueError, match=r"trigger\.database is registered already"):
        whole.for_service("trigger").require("database", away)


async def test_check_that_hangs_is_not_begun_again_and_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_S", 0.01)
    begun, watched, never = 0, Health(), asyncio.Event()

    async def hangs() -> None:
        nonlocal begun
        begun += 1
        while not never.is_set():
            try:
                await never.wait()
            except asyncio.CancelledError:
                continue  # a driver that ignores cancellation

    watched.require("database", hangs)
    async with asyncio.timeout(10):
        told = [*await asyncio.gather(watched.problems(), watched.problems()), await watched.problems()]
    never.set()
    assert told == [{"database": "does not answer within 0.01 s"}] * 3
    assert begun == 1


async def test_advisory_check_warns_and_takes_nothing_out_of_service() -> None:
    """Answer pages work for known keys while requests wait for another key."""

    async def lacking() -> None:
        raise NotReady("link key k2 is missing")

    async def away() -> None:
        raise NotReady("does not commit")

    scoring = Health().for_service("scoring")
    scoring.require("link keys", lacking, advisory=True)
    scoring.require("database", away)
    found = await scoring.state()
    assert found.warnings == {"scoring.link keys": "link key k2 is missing"}
    assert found.problems == {"scoring.database": "does not commit"}
