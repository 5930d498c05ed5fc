"""A circuit breaker for a provider account. Each process has its own; it uses machine time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult

_NOT_STARTED = Disposition(SendResult.NOT_STARTED)
_AWAY = Disposition(SendResult.NOT_ACCEPTED, "provider_away")


class ProviderHealth(StrEnum):
    WELL = "well"
    RESTING = "resting"
    TRYING = "trying"  # one message at a time is sent, to find out whether the provider works again
    LOST = "lost"  # failed for `patience_s`: each failure counts as a try, so that chains continue


@dataclass(slots=True)
class Breaker:
    """Stops sending for `rest_s` seconds after `failures` in a row, then one message at a time until one succeeds.

    When the provider has failed for `patience_s` seconds, it counts as lost.
    """

    failures: int = 3
    rest_s: float = 15.0
    patience_s: float = 6 * 3600.0
    monotonic: Callable[[], float] = time.monotonic
    _failures_in_a_row: int = 0
    _failing_since: float = 0.0
    _resting_until: float = 0.0

    @property
    def health(self) -> ProviderHealth:
        now = self.monotonic()
        if self._failures_in_a_row < self.failures:
            return ProviderHealth.WELL
        if now - self._failing_since >= self.patience_s:
            return ProviderHealth.LOST
        return ProviderHealth.RESTING if now < self._resting_until else ProviderHealth.TRYING

    def allowed(self, most: int) -> int:
        """Return how many of `most` messages may be sent now: none while RESTING, one while TRYING."""
        health = self.health
        if health in (ProviderHealth.RESTING, ProviderHealth.TRYING):
            return int(health is ProviderHealth.TRYING)
        return most

    async def probe(
        self, send: Callable[[OutgoingMessage], Awaitable[Disposition]], messages: Sequence[OutgoingMessage]
    ) -> list[Disposition]:
        """Send only the first message to a lost provider; if that fails, all fail, which counts as a try of each."""
        first = await send(messages[0])
        others = _AWAY if self.health is ProviderHealth.LOST else _NOT_STARTED
        return [_AWAY if first.result is SendResult.UNAVAILABLE else first, *[others] * (len(messages) - 1)]

    def record(self, result: SendResult, *, wait_s: float = 0.0) -> None:
        """Count UNAVAILABLE and UNKNOWN (no reply) as failures in a row; any other result resets the count.

        `wait_s` is how long the provider asks us to rest.
        """
        if result not in (SendResult.UNAVAILABLE, SendResult.UNKNOWN):
            self._failures_in_a_row = 0
            return
        now = self.monotonic()
        if not self._failures_in_a_row:
            self._failing_since = now
        self._failures_in_a_row += 1
        self._resting_until = now + max(self.rest_s, wait_s)
