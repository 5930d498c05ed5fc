"""Relational programs: which customers are due on which day of a cadence, spread evenly over its days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.trigger.domain.sampling import SPREAD
from shared.zones import time_zone

EPOCH = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class CadenceDay:
    """One day of a cadence: the customers with `first <= spread < last` are due, in the period with this number."""

    day: date
    period: int
    first: int
    last: int

    @classmethod
    def of(cls, day: date, *, cadence: timedelta) -> CadenceDay:
        days = cadence.days
        period, place = divmod((day - EPOCH).days, days)
        return cls(day, period, -(-place * SPREAD // days), -(-(place + 1) * SPREAD // days))

    def begins_at(self, zone: str) -> datetime:
        return datetime.combine(self.day, time(), time_zone(zone)).astimezone(UTC)


def next_day(done_until: date | None, *, today: date, cadence: timedelta) -> date | None:
    """Return the next day to work on, None if today is done.

    Missed days are made up, at most one cadence of them, so that nobody is due twice.
    """
    if done_until is None:
        return today
    day = max(done_until + timedelta(days=1), today - cadence + timedelta(days=1))
    return day if day <= today else None
