"""Time zones by their IANA names, and the calendar day of a moment in one of them."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone with this IANA name; UTC for an empty, unknown or otherwise invalid name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(time_zone(zone)).date()


def is_time_zone(name: str) -> bool:
    return name in _names()


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())
