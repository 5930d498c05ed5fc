"""The time zone of a phone number, and the hours that are contact hours in every zone where it may be."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import msgspec
import phonenumbers
from phonenumbers import PhoneNumber
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number, time_zones_for_number

from services.trigger.domain.programs.timing import length, since_midnight
from shared.contract.events import Window
from shared.zones import time_zone

_LAST_DIGITS = "5555"  # instead of the last four: numbers that differ only in them are in the same zones


class PhoneZone(msgspec.Struct, frozen=True):
    """The zone of a number. If it may be in others too, their days begin up to `later` after and `sooner` before."""

    name: str
    later: timedelta = timedelta()
    sooner: timedelta = timedelta()

    def common_hours(self, window: Window) -> Window:
        """Return the part of a window, in this zone's time, that lies in the same window of every other zone."""
        if not self.later and not self.sooner:
            return window
        start, end = since_midnight(window.start) + self.later, since_midnight(window.end) - self.sooner
        return Window(start=_time_of_day(start), end=_time_of_day(end))


def phone_zone(phone: str, *, window: Window, at: datetime) -> PhoneZone | None:
    """Return the zone of a number in E.164; None if its zones have less than half of the window in common."""
    found = _middle_of(_zones_of(phone[:-4]), at.date())
    if found is None or not (found.later or found.sooner):
        return found
    return found if found.later + found.sooner <= length(window) / 2 else None


@lru_cache(maxsize=1000)
def _middle_of(names: tuple[str, ...], day: date) -> PhoneZone | None:
    """Return the middle one of several zones; None without any."""
    noon = datetime.combine(day, time(12))
    offsets = sorted((time_zone(name).utcoffset(noon) or timedelta(), name) for name in names)
    if not offsets:
        return None
    middle, name = offsets[len(offsets) // 2]
    return PhoneZone(name, later=middle - offsets[0][0], sooner=offsets[-1][0] - middle)


@lru_cache(maxsize=50_000)  # without it, finding the zones of a number is a large part of a decision
def _zones_of(prefix: str) -> tuple[str, ...]:
    """Return the zones of numbers with this prefix; those of the country if no such number is in use."""
    try:
        number = phonenumbers.parse(prefix + _LAST_DIGITS)
    except phonenumbers.NumberParseException:
        return ()
    zones: tuple[str, ...] = time_zones_for_number(number)
    if UNKNOWN_TIMEZONE in zones:
        zones = time_zones_for_geographical_number(PhoneNumber(number.country_code, 0))
    return () if UNKNOWN_TIMEZONE in zones else zones


def _time_of_day(since_midnight: timedelta) -> time:
    return (datetime.min.replace(tzinfo=UTC) + since_midnight).time()
