"""Time zones by their IANA names, and the calendar day of a moment in one of them."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

current_zone: ContextVar[ZoneInfo] = ContextVar("current_zone", default=ZoneInfo("UTC"))  # noqa: B039 - it is frozen
"""The zone in which times are written for the person who sent the request that this task answers."""


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone with this IANA name; UTC for an empty, unknown or otherwise invalid name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(time_zone(zone)).date()


def is_time_zone(name: str) -> bool:
    return name in time_zone_names()


@cache
def time_zone_names() -> frozenset[str]:
    return frozenset(available_timezones())
