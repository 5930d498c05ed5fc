"""Rate limits by mail domain. Each process has its own; they use machine time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.web.rate_limit import RateLimit

_REMEMBERED = 1000


@dataclass(slots=True)
class DomainPace:
    """`per_second` is mails per second by recipient domain; `*` is for all others; without it they have no limit."""

    per_second: Mapping[str, float]
    monotonic: Callable[[], float] = time.monotonic
    _limits: dict[float, RateLimit] = field(default_factory=dict)
    _next_free: dict[str, float] = field(default_factory=dict)

    def wait(self, domain: str) -> float:
        """Return 0 when a message may be sent now, else the seconds until it may; each caller gets a later time."""
        rate = self.per_second.get(domain, self.per_second.get("*"))
        if rate is None:
            return 0.0
        wait = self._limit(rate).take(domain)
        if not wait:
            return 0.0
        now = self.monotonic()
        if len(self._next_free) > _REMEMBERED:
            self._next_free = {name: at for name, at in self._next_free.items() if at > now}
        at = max(self._next_free.get(domain, 0.0), now + wait)
        self._next_free[domain] = at + 1 / rate
        return at - now

    def limits(self, domain: str) -> bool:
        """Say whether a limit applies to a domain."""
        return domain in self.per_second or "*" in self.per_second

    def _limit(self, rate: float) -> RateLimit:
        if rate not in self._limits:
            self._limits[rate] = RateLimit(per_second=rate, burst=max(1, int(rate)), monotonic=self.monotonic)
        return self._limits[rate]
