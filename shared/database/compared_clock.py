"""A clock that compares the machine's time with the database's: while they differ, it refuses to tell the time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from shared.clock import Clock, ClockIsWrong, SystemClock, open_clock
from shared.database import db
from shared.database.db import Database
from shared.health import NotReady

log = structlog.get_logger()

MOST_APART_S = 30.0
EVERY_S = 10.0

Ask = Callable[[], Awaitable[datetime]]


class ComparedClock:
    """A system clock whose `now` raises ClockIsWrong while it differs from the database's by more than MOST_APART_S.

    A jump between two comparisons is detected at once, with the machine's monotonic clock.
    """

    def __init__(self, database: Database, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self._apart_s: float | None = None
        self._since_boot = 0.0
        self._wrong = False

    def now(self) -> datetime:
        if fault := self.fault:
            raise ClockIsWrong(fault)
        return datetime.fromtimestamp(self._wall(), UTC)

    @property
    def fault(self) -> str:
        """What is wrong with the clock and how to repair it; empty when nothing is wrong."""
        if self._apart_s is None:
            return "the machine's clock has not been compared with the database's yet"
        jumped = self._wall() - time.monotonic() - self._since_boot
        return fault_of(self._apart_s + jumped)

    async def compare(self) -> None:
        """Ask the database for its time; log when the clock becomes wrong, and when it is right again."""
        apart_s = await seconds_apart(self._ask, wall=self._wall)
        self._apart_s, self._since_boot = apart_s, self._wall() - time.monotonic()
        wrong, self._wrong = self._wrong, bool(self.fault)
        if self._wrong and not wrong:
            log.error("clock.wrong", seconds_ahead=round(apart_s))
        elif wrong and not self._wrong:
            log.warning("clock.right")

    async def check(self) -> None:
        if fault := self.fault:
            raise NotReady(fault)

    async def _ask(self) -> datetime:
        async with self._database.sessions.begin() as session:
            found: datetime = (await db.fetch(session, "SELECT clock_timestamp()"))[0][0]
        return found


async def guard_clock(clock: Clock, database: Database) -> Clock:
    """Return a ComparedClock for a system clock; a stored or manual clock is returned as it is."""
    if not isinstance(clock, SystemClock):
        return clock
    held = ComparedClock(database)
    try:
        await held.compare()
    except Exception as error:
        if not db.is_transient(error):
            raise
        log.warning("clock.not_compared", exc_info=error)  # `now` raises until `compare` has succeeded
    return held


async def open_command_clock(path: Path | None, database: Database) -> Clock:
    """Open a command's business clock: the one stored at `path`, else this machine's.

    Raises ClockIsWrong if this machine's clock is more than MOST_APART_S seconds from the database's.
    """
    clock = await guard_clock(open_clock(path), database)
    clock.now()
    return clock


async def seconds_apart(ask: Ask, *, wall: Callable[[], float] = time.time) -> float:
    """Return how many seconds this machine's clock is ahead of the database's, measured at half the round trip."""
    before = wall()
    theirs = await ask()
    return (before + wall()) / 2 - theirs.timestamp()


def fault_of(apart_s: float) -> str:
    if abs(apart_s) <= MOST_APART_S:
        return ""
    way = "ahead of" if apart_s > 0 else "behind"
    return f"the machine's clock is {abs(apart_s):.0f} s {way} the database's: correct the wrong one"
