"""Hashes passwords with Argon2id (RFC 9106) off the event loop, with OWASP's least memory and passes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from services.scoring.domain.people.passwords import LONGEST, normalized
from shared.languages.marking import mark
from shared.web.problems import Unavailable

MOST_WAITING = 100  # hashes; one takes some 15 ms
_NICER = 10  # of the system's steps of priority: answers go before log-ins
_RESTS = 3  # times as long as a hash took of a core: a quarter of a core at most, whatever else is idle
_T = TypeVar("_T")


class PasswordHashing:
    """One thread of low priority, which rests after each hash.

    Priority alone leaves it all that is idle for a moment, and answers then wait for a core or its memory.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=self._prepare)
        self._waiting = 0
        self._rests_until = 0.0  # by the monotonic clock
        self._of_nobody = ""  # compared where a login has no password, which takes as long

    async def hash(self, password: str) -> str:
        """Return the hash in the PHC string format; raises Unavailable while too many others wait."""
        return await self.run(lambda: self._hasher.hash(normalized(password)))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Say whether this is the password of a hash, in the same time without one; raises Unavailable."""
        return await self.run(lambda: self._matches(password, stored)) and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _prepare(self) -> None:
        _lower_priority()
        self._of_nobody = self._hasher.hash("")

    def _matches(self, password: str, stored: str | None) -> bool:
        if len(password) > 4 * LONGEST:
            password = ""
        try:
            return self._hasher.verify(stored or self._of_nobody, normalized(password))
        except (Argon2Error, InvalidHashError):
            return False

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run work about passwords in the thread; raises Unavailable."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable(
                mark("Too many people log in at once"), mark("Try again shortly."), headers={"retry-after": "2"}
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._rested, work)
        finally:
            self._waiting -= 1

    def _rested(self, work: Callable[[], _T]) -> _T:
        """Run work in the thread, after the rest from what ran before."""
        time.sleep(max(0.0, self._rests_until - time.monotonic()))
        began = time.thread_time()
        try:
            return work()
        finally:
            self._rests_until = time.monotonic() + _RESTS * (time.thread_time() - began)


def _lower_priority() -> None:
    with contextlib.suppress(OSError, AttributeError):  # of a thread only Linux can lower it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICER)
