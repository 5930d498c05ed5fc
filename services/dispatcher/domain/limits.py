"""How many messages an account may send on a business day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

_NO_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class DailyLimit:
    """How many messages a day an account may send. A new one is warmed up from `first_day`, times `growth` each day."""

    per_day: int | None = None
    since: date | None = None
    first_day: int = 0
    growth: float = 1.0

    def on(self, day: date) -> int | None:
        if self.since is None:
            return self.per_day
        age = max(0, (day - self.since).days)
        warm = int(min(self.first_day * self.growth ** min(age, 365), _NO_LIMIT))
        return warm if self.per_day is None else min(warm, self.per_day)
