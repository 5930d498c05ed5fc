"""Remembers in which hour each API key was used, and stores that later: no request waits for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from shared.clock import utc_now
from shared.database import api_keys
from shared.database.session import Sessions

STORED_S = 60.0  # how often uses are stored


class KeyUses:
    """The uses of keys in one process: each key is stored at most once an hour."""

    def __init__(self, sessions: Sessions, *, now: Callable[[], datetime] = utc_now) -> None:
        self._sessions, self._now = sessions, now
        self._noted: dict[UUID, datetime] = {}
        self._unstored: dict[UUID, datetime] = {}

    def note(self, key: UUID) -> None:
        """Say that a request was let in with this key."""
        hour = self._now().replace(minute=0, second=0, microsecond=0)
        if self._noted.get(key) != hour:
            self._noted[key] = self._unstored[key] = hour

    async def store(self) -> None:
        """Store what was noted since the last time; what cannot be stored is stored with the next call."""
        uses, self._unstored = self._unstored, {}
        try:
            if uses:
                async with self._sessions.begin() as session:
                    await api_keys.store_uses(session, uses)
        except BaseException:
            self._unstored = uses | self._unstored
            raise
