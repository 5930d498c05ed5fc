"""A job continues after a database outage; any other error stops the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from services.scoring.jobs.scheduler import every
from shared.database.session import Session
from shared.database.until_stopped import Pause, until_stopped
from shared.health import Heartbeat
from tests.integration.scoring.stand import Scoring


async def ticking(scoring: Scoring, tick: Callable[..., Awaitable[int]], stop: asyncio.Event) -> None:
    once = every(0.001, tick, sessions=scoring.database.sessions, clock=scoring.clock)
    await until_stopped(once, stop, heartbeat=Heartbeat("scoring.tick"), pause=Pause(1))


async def test_job_continues_after_an_outage(scoring: Scoring) -> None:
    stop, ticks = asyncio.Event(), 0

    async def tick(_: Session, *, now: datetime) -> int:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            raise ConnectionResetError
        stop.set()
        return int(now == scoring.clock.now())

    async with asyncio.timeout(10):
        await ticking(scoring, tick, stop)
    assert ticks == 2


async def test_failing_job_stops_the_process(scoring: Scoring) -> None:
    async def tick(_: Session, *, now: datetime) -> int:
        raise ValueError(now)

    with pytest.raises(ValueError, match="2026"):
        await ticking(scoring, tick, asyncio.Event())
