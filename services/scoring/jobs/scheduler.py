"""Runs a job at a fixed interval."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from shared.clock import Clock
from shared.database.db import Sessions
from shared.database.until_stopped import Round


def every(seconds: float, job: Callable[..., Awaitable[int]], *, sessions: Sessions, clock: Clock) -> Round:
    """Return a function that runs `job` in a transaction and returns the seconds until the next run is due."""

    async def once() -> float:
        began = time.monotonic()
        async with sessions.begin() as session:
            await job(session, now=clock.now())
        return max(began + seconds - time.monotonic(), 0)

    return once
