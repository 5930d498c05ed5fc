"""Runs loops until the process stops, and makes the unexpected end of a long-lived task an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from shared import metrics
from shared.database.db import is_transient
from shared.health import Heartbeat
from shared.waiting import StrayCancellation, convert_stray_cancellation, wait_for, wait_for_any

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
IDLE_S = 5.0  # how often a loop looks for work of which nothing told it

Round = Callable[[], Awaitable[float | None]]
"""Does one round of work and returns the seconds until the next round is due: 0 for at once, None if unknown."""


class EndedUnexpectedly(Exception):
    """A long-lived task ended before the process was stopped. Its work is no longer done, so the process must end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """How long a loop rests: at most `longest_s`; `wake` ends a rest early, but not before `shortest_s`."""

    longest_s: float
    shortest_s: float = 0.0
    wake: asyncio.Event | None = None


async def until_stopped(work: Round, stop: asyncio.Event, *, heartbeat: Heartbeat, pause: Pause) -> None:
    """Repeat `work` until `stop` is set, with pauses.

    After a transient error the round is repeated, with growing pauses; any other error is raised.
    """
    outage_s = FIRST_PAUSE_S
    while not stop.is_set():
        if pause.wake is not None:
            pause.wake.clear()
        try:
            due_in = await work()
        except Exception as error:
            if not is_transient(error):
                raise
            metrics.RETRIES.labels(heartbeat.name.partition(".")[0]).inc()
            log.warning("loop.waits", loop=heartbeat.name, exc_info=error)
            heartbeat.waits(f"waits: {type(error).__name__}")
            await wait_for(stop, outage_s)
            outage_s = min(outage_s * 2, LONGEST_PAUSE_S)
        else:
            outage_s = FIRST_PAUSE_S
            rest_s = pause.longest_s if due_in is None else min(due_in, pause.longest_s)
            heartbeat.beat(rest_s=rest_s)
            await _rest(rest_s, stop, pause)


async def _rest(seconds: float, stop: asyncio.Event, pause: Pause) -> None:
    if pause.wake is None or not seconds:
        await wait_for(stop, seconds)
        return
    at_least = min(pause.shortest_s, seconds)
    if at_least:
        await wait_for(stop, at_least)
    await wait_for_any(pause.wake, stop, timeout_s=seconds - at_least)


def while_busy(work: Callable[[], Awaitable[int]]) -> Round:
    """Make a Round of `work`, which returns how many items it did: the next round is due at once unless that is 0."""

    async def once() -> float | None:
        return 0.0 if await work() else None

    return once


async def supervised(work: Coroutine[Any, Any, None], stop: asyncio.Event, *, name: str) -> None:
    """Await long-lived work; raises EndedUnexpectedly when it returns or cancels itself before `stop` is set.

    Without this, a task group would treat a child that cancelled itself as one that finished normally.
    """
    try:
        with convert_stray_cancellation():
            await work
    except StrayCancellation as error:
        raise EndedUnexpectedly(f"{name} cancelled itself") from error
    if not stop.is_set():
        raise EndedUnexpectedly(f"{name} ended before the process was stopped")
