"""Business time is `Clock.now()`; machine time is the database's and the event loop's.

All processes of a demo or a replay share one stored clock, whose business time may run faster than the wall clock:
`business + (wall - anchored) * speed`. Only demo, replay and tests use a stored clock; see `docs/decisions/`.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return business time, aware and in UTC; raises ClockIsWrong."""


def utc_now() -> datetime:
    """Return the time of the machine, whatever the business clock says."""
    return datetime.now(UTC)


class ClockIsWrong(Exception):
    """The machine's clock cannot be trusted until its administrator has corrected it: try again later."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class ManualClock:
    """Stands still; tests set `moment`."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


class StoredClock:
    """Business time stored in a small file, which all processes on the machine share and which outlives them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._anchor = (datetime.fromtimestamp(0, UTC), 0.0, 0.0)

    @classmethod
    def create(cls, path: Path, *, start: datetime, speed: float) -> StoredClock:
        """Create the file with the business time `start`, or continue from the time in it, at the given speed."""
        clock = cls(path)
        clock.anchor(clock._stored()[0] if path.exists() else start, speed=speed)
        return clock

    def now(self) -> datetime:
        status = self._path.stat()
        version = (status.st_ino, status.st_mtime_ns)
        if version != self._version:
            self._anchor, self._version = self._stored(), version
        business, anchored, speed = self._anchor
        return business + timedelta(seconds=(time.time() - anchored) * speed)

    def anchor(self, moment: datetime, *, speed: float) -> None:
        """Set business time to this moment; `speed` is business seconds per second, and 0 stops the clock."""
        written = self._path.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps({"business": moment.isoformat(), "anchored": time.time(), "speed": speed}))
        written.replace(self._path)

    def _stored(self) -> tuple[datetime, float, float]:
        stored = json.loads(self._path.read_text())
        return datetime.fromisoformat(stored["business"]), stored["anchored"], stored["speed"]


def now_or(clock: Clock, known: datetime) -> datetime:
    """Return the current time, or `known` while the clock is wrong: for records that must be stored all the same."""
    try:
        return clock.now()
    except ClockIsWrong:
        return known


def open_clock(path: Path | None) -> Clock:
    return SystemClock() if path is None else StoredClock(path)
