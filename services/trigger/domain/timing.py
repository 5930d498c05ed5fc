"""When a survey goes out: from the event's own time or its delivery, and at the hour the customer has."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta

FURTHEST = timedelta(days=30)


def within_reach(moment: datetime, now: datetime) -> datetime:
    """Believe a time in the future up to 30 days: beyond that a clock is wrong, or a date."""
    return min(moment, now + FURTHEST)


def goes_out_at(moment: datetime, *, at: time | None, zone: str, now: datetime) -> datetime:
    """Find the moment something due then goes out: never in the past, and at the next `at` where the customer is."""
    moment = max(moment, now)
    if at is None:
        return moment
    there = zoneinfo.ZoneInfo(zone)
    day = moment.astimezone(there).date()
    candidates = (datetime.combine(day + timedelta(days=n), at, there).astimezone(UTC) for n in range(2))
    return next(candidate for candidate in candidates if candidate >= moment)
