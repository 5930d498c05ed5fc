"""When a survey goes out: counted from the event or the delivery, at a time of day in the customer's zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from shared.contract.events import Window
from shared.zones import time_zone

MAX_AHEAD = timedelta(days=1)  # accepted, as a wrong clock or time zone explains it; more is a wrong date


def clamp_to_now(moment: datetime, now: datetime) -> datetime:
    """Return the moment, or now if it is in the future."""
    return min(moment, now)


def length(window: Window) -> timedelta:
    return since_midnight(window.end) - since_midnight(window.start)


def since_midnight(hour: time) -> timedelta:
    return timedelta(hours=hour.hour, minutes=hour.minute, seconds=hour.second, microseconds=hour.microsecond)


def first_send_time(moment: datetime, *, at: time | None, zone: str, now: datetime) -> datetime:
    """Return when a survey due at `moment` goes out: not before now, and if `at` is set, at that time in the zone."""
    moment = max(moment, now)
    if at is None:
        return moment
    local = time_zone(zone)
    day = moment.astimezone(local).date()
    candidates = (datetime.combine(day + timedelta(days=n), at, local).astimezone(UTC) for n in range(2))
    return next(candidate for candidate in candidates if candidate >= moment)
