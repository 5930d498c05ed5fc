"""Wakes the loops of this process when there may be work, so that they need not wait for their next poll."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.database.until_stopped import Round

POLL_S = 0.1


class Wakeup:
    """Wakes every loop that listens. It is only a hint: each loop polls every `POLL_S` seconds anyway."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """Return a new event, which each `notify` sets."""
        self._events.append(event := asyncio.Event())
        return event

    def notify(self) -> None:
        for event in self._events:
            event.set()

    def notified_by(self, work: Callable[[], Awaitable[int]]) -> Round:
        """Wrap work that returns how much it did: if that is not 0, wake every loop and run the work again at once."""

        async def once() -> float | None:
            if not await work():
                return None
            self.notify()
            return 0.0

        return once
