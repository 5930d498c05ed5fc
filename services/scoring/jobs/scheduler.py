"""Runs a job in transactions of its own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from shared.clock import Clock
from shared.database.session import Sessions
from shared.database.until_stopped import Round


def every(seconds: float, job: Callable[..., Awaitable[int]], *, sessions: Sessions, clock: Clock) -> Round:
    """Return a function that runs `job`, which returns how much it did.

    It returns the seconds until the next run is due, None if there was nothing to do.
    """

    async def once() -> float | None:
        began = time.monotonic()
        async with sessions.begin() as session:
            done = await job(session, now=clock.now())
        return max(began + seconds - time.monotonic(), 0) if done else None

    return once
