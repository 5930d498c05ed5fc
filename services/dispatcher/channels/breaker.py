"""Lets an account rest while its provider is away; machine time, in this process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.dispatcher.domain.steps import Disposition, Outgoing, Result

_NOT_STARTED = Disposition(Result.NOT_STARTED)
_AWAY = Disposition(Result.NOT_ACCEPTED, "provider_away")


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

    def places(self, most: int) -> int:
        """How many of `most` messages may be sent now: one while it is tried whether the provider is back."""
        health = self.health
        if health in (Health.RESTING, Health.TRYING):
            return int(health is Health.TRYING)
        return most

    async def ask_once(
        self, send: Callable[[Outgoing], Awaitable[Disposition]], messages: Sequence[Outgoing]
    ) -> list[Disposition]:
        """Find out with one message whether a lost provider is back; if not, all of them have spent a try."""
        found = await send(messages[0])
        others = _AWAY if self.health is Health.LOST else _NOT_STARTED
        return [_AWAY if found.result is Result.UNAVAILABLE else found, *[others] * (len(messages) - 1)]

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
