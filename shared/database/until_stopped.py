"""The one way to run a loop, and what takes the end of a long-lived task for the error that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from shared import metrics
from shared.database.db import is_transient
from shared.health import Heartbeat
from shared.waiting import StrayCancellation, convert_stray_cancellation, wait_for, wait_for_any

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

Round = Callable[[], Awaitable[float | None]]
"""Works once and returns in how many seconds it is due again: 0 is at once, None when it does not know."""


class EndedUnexpectedly(Exception):
    """A long-lived task ended before it was told to, so its work stands still: the process has to end."""


async def until_stopped(
    work: Round, stop: asyncio.Event, *, heartbeat: Heartbeat, longest_s: float, wake: asyncio.Event | None = None
) -> None:
    """Work round after round until told to stop, resting for at most `longest_s` seconds or until woken.

    Outages are waited out, with a growing pause; any other error ends the loop.
    """
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        if wake is not None:
            wake.clear()
        try:
            due_in = await work()
        except Exception as error:
            if not is_transient(error):
                raise
            metrics.RETRIES.labels(heartbeat.name.partition(".")[0]).inc()
            log.warning("loop.waits", loop=heartbeat.name, exc_info=error)
            heartbeat.waits(f"waits: {type(error).__name__}")
            await wait_for(stop, pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        else:
            pause = FIRST_PAUSE_S
            rest_s = longest_s if due_in is None else min(due_in, longest_s)
            heartbeat.beat(rest_s=rest_s)
            await _rest(rest_s, stop, wake)


async def _rest(seconds: float, stop: asyncio.Event, wake: asyncio.Event | None) -> None:
    if wake is None or not seconds:
        await wait_for(stop, seconds)
    else:
        await wait_for_any(wake, stop, timeout_s=seconds)


def while_busy(work: Callable[[], Awaitable[int]]) -> Round:
    """Make a round of work that returns how much it did: again at once until that is nothing."""

    async def once() -> float | None:
        return 0.0 if await work() else None

    return once


async def supervised(work: Coroutine[Any, Any, None], stop: asyncio.Event, *, name: str) -> None:
    """Await long-lived work; raises EndedUnexpectedly when it returns or cancels itself before `stop` is set.

    A task group takes a cancelled child for a finished one.
    """
    try:
        with convert_stray_cancellation():
            await work
    except StrayCancellation as error:
        raise EndedUnexpectedly(f"{name} was cancelled from inside") from error
    if not stop.is_set():
        raise EndedUnexpectedly(f"{name} ended before it was told to")
