"""What scoring does by the clock: publish changed scores, close and move call tasks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from shared.clock import Clock
from shared.database.db import Sessions
from shared.database.until_stopped import Round


def every(seconds: float, tick: Callable[..., Awaitable[int]], *, sessions: Sessions, clock: Clock) -> Round:
    """Make a round that begins every so many seconds and is a transaction of its own."""

    async def once() -> float:
        began = time.monotonic()
        async with sessions.begin() as session:
            await tick(session, now=clock.now())
        return max(began + seconds - time.monotonic(), 0)

    return once
