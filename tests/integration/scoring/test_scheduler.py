"""A tick outlives an outage and nothing else."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.scheduler import every
from tests.integration.scoring.stand import Scoring


async def test_tick_goes_on_after_an_outage(scoring: Scoring) -> None:
    stop, ticks = asyncio.Event(), 0

    async def tick(_: AsyncSession, *, now: datetime) -> int:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            raise ConnectionResetError
        stop.set()
        return int(now == scoring.clock.now())

    async with asyncio.timeout(10):
        await every(0.001, tick, sessions=scoring.database.sessions, clock=scoring.clock, stop=stop)
    assert ticks == 2


async def test_tick_that_is_wrong_stops_the_process(scoring: Scoring) -> None:
    async def tick(_: AsyncSession, *, now: datetime) -> int:
        raise ValueError(now)

    with pytest.raises(ValueError, match="2026"):
        await every(0.001, tick, sessions=scoring.database.sessions, clock=scoring.clock, stop=asyncio.Event())
