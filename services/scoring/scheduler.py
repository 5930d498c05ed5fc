"""What scoring does by the clock: publish changed scores, close and move call tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from shared import metrics
from shared.clock import Clock
from shared.db import Sessions, is_transient
from shared.vocabulary import Service
from shared.waiting import wait_for

log = structlog.get_logger()


async def every(
    seconds: float,
    tick: Callable[..., Awaitable[int]],
    *,
    sessions: Sessions,
    clock: Clock,
    stop: asyncio.Event,
) -> None:
    """Begin a tick in a transaction of its own every so many seconds, one after another; outages are waited out."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            async with sessions.begin() as session:
                await tick(session, now=clock.now())
        except Exception as error:
            if not is_transient(error):
                raise
            metrics.RETRIES.labels(Service.SCORING).inc()
            log.warning("tick.waits", exc_info=error)
        await wait_for(stop, max(began + seconds - time.monotonic(), 0))
