"""When a survey goes out: from the event's own time or its delivery, and at the hour the customer has."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from shared.zones import time_zone

MOST_AHEAD = timedelta(days=1)  # a clock may be wrong, or a time zone; beyond that a date is


def not_ahead(moment: datetime, now: datetime) -> datetime:
    """Count a time in the future as now."""
    return min(moment, now)


def goes_out_at(moment: datetime, *, at: time | None, zone: str, now: datetime) -> datetime:
    """Find the moment something due then goes out: never in the past, and at the next `at` where the customer is."""
    moment = max(moment, now)
    if at is None:
        return moment
    there = time_zone(zone)
    day = moment.astimezone(there).date()
    candidates = (datetime.combine(day + timedelta(days=n), at, there).astimezone(UTC) for n in range(2))
    return next(candidate for candidate in candidates if candidate >= moment)
