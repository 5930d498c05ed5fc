"""Wakes the loops of a service in this process when there may be work, so that they need not ask often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.database.until_stopped import Round

_READING = ("GET", "HEAD", "OPTIONS")


class Wakeup:
    """Wakes every loop that listens. It is only a hint: each loop also looks for work by itself."""

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


class NotifyingRequests:
    """Wakes the loops after every request that may have written something."""

    def __init__(self, app: ASGIApp, *, wakeup: Wakeup) -> None:
        self._app, self._wakeup = app, wakeup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["method"] not in _READING:
                self._wakeup.notify()
