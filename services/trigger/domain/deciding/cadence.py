"""Relational programs: every known customer once a cadence, spread evenly over its days."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.trigger.domain.sampling import SPREAD

EPOCH = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class CadenceDay:
    """One day of a cadence: whose turn it is, by their place `first <= spread < last`, and which period it is."""

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
        return datetime.combine(self.day, time(), zoneinfo.ZoneInfo(zone)).astimezone(UTC)


def next_day(done_until: date | None, *, today: date, cadence: timedelta) -> date | None:
    """Name the day to work on: each one in turn; after a long silence only the last cadence, once for everybody."""
    if done_until is None:
        return today
    day = max(done_until + timedelta(days=1), today - cadence + timedelta(days=1))
    return day if day <= today else None
