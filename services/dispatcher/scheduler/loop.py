"""The loop every lane and every keeper runs in, and the bell that wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared import metrics
from shared.db import is_transient
from shared.vocabulary import Service
from shared.waiting import wait_for

log = structlog.get_logger()

POLL_S = 0.1


class Bell:
    """Wakes every loop of this process; a hint only, they look by themselves ten times a second."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        rung, self._event = self._event, asyncio.Event()
        rung.set()

    async def wait(self) -> None:
        await wait_for(self._event, POLL_S)


async def run(work: Callable[[], Awaitable[int]], bell: Bell, stop: asyncio.Event) -> None:
    """Work again and again until told to stop, resting when there was nothing; outages are waited out."""
    delay = POLL_S
    while not stop.is_set():
        try:
            if await work():
                bell.ring()
            else:
                await bell.wait()
            delay = POLL_S
        except Exception as error:
            if not is_transient(error):
                raise
            metrics.RETRIES.labels(Service.DISPATCHER).inc()
            log.warning("scheduler.waits", exc_info=error)
            await wait_for(stop, delay)
            delay = min(delay * 2, 5.0)
