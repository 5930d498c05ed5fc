"""Lets an account rest while its provider is away; machine time, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.dispatcher.domain import Result


class Health(StrEnum):
    WELL = "well"
    RESTING = "resting"
    TRYING = "trying"  # one message may find out whether the provider is back
    LOST = "lost"  # away for so long that steps spend their tries on it, and chains go on elsewhere


@dataclass(slots=True)
class Breaker:
    """Rests after so many failures in a row, then tries with one message at a time until something is heard."""

    failures: int = 3
    rest_s: float = 15.0
    patience_s: float = 6 * 3600.0
    monotonic: Callable[[], float] = time.monotonic
    _in_a_row: int = 0
    _since: float = 0.0
    _rests_until: float = 0.0

    @property
    def health(self) -> Health:
        now = self.monotonic()
        if self._in_a_row < self.failures:
            return Health.WELL
        if now - self._since >= self.patience_s:
            return Health.LOST
        return Health.RESTING if now < self._rests_until else Health.TRYING

    def heard(self, result: Result) -> None:
        """Take note of a disposition; silence after a message may mean that the provider is away, too."""
        if result not in (Result.UNAVAILABLE, Result.UNKNOWN):
            self._in_a_row = 0
            return
        now = self.monotonic()
        if not self._in_a_row:
            self._since = now
        self._in_a_row += 1
        self._rests_until = now + self.rest_s
