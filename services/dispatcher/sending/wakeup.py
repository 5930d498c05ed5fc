"""The bell that wakes the lanes and the keeper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.database.until_stopped import Round

POLL_S = 0.1


class Wakeup:
    """Wakes every loop of this process; a hint only, they look by themselves ten times a second."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """Make an event that each ring sets."""
        self._events.append(event := asyncio.Event())
        return event

    def ring(self) -> None:
        for event in self._events:
            event.set()

    def rung_by(self, work: Callable[[], Awaitable[int]]) -> Round:
        """Make a round of work that returns how much it did: the others are woken when that was something."""

        async def once() -> float | None:
            if not await work():
                return None
            self.ring()
            return 0.0

        return once
