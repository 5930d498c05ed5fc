"""When a respondent may be contacted: in a window of their local day, not on a public holiday. Times are UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from shared.contract.events import Window
from shared.zones import time_zone

if TYPE_CHECKING:
    import holidays

_DAYS_AHEAD = 90  # more than any number of holidays in a row


def next_opening(moment: datetime, *, zone: str, window: Window | None, calendar: str | None = None) -> datetime | None:
    """Return the first instant from `moment` on that lies in the window and on no public holiday, in local time.

    `calendar` names the holidays: an ISO 3166 country or subdivision, such as "RU" or "US-CA".
    Returns None when there is no such instant, for example when the window ends before it starts.
    """
    if window is None and calendar is None:
        return moment
    place = time_zone(zone)
    if _is_open(moment, place, window, calendar):
        return moment
    today = moment.astimezone(place).date()
    openings = (
        datetime.combine(today + timedelta(days=ahead), window.start if window else time.min, place)
        .replace(fold=fold)
        .astimezone(UTC)
        for ahead in range(_DAYS_AHEAD)
        for fold in (0, 1)
    )
    return next((at for at in openings if at >= moment and _is_open(at, place, window, calendar)), None)


def _is_open(moment: datetime, place: ZoneInfo, window: Window | None, calendar: str | None) -> bool:
    local = moment.astimezone(place)
    in_hours = window is None or window.start <= local.time() < window.end
    return in_hours and not (calendar and is_holiday(local.date(), calendar))


def is_holiday(day: date, calendar: str) -> bool:
    """Say whether this is a public holiday of the calendar; an unknown calendar has no holidays."""
    known = _calendar(calendar)
    return known is not None and day in known


@lru_cache(maxsize=300)
def _calendar(name: str) -> holidays.HolidayBase | None:
    import holidays  # noqa: PLC0415 - few steps have a calendar

    country, _, subdivision = name.upper().partition("-")
    try:
        return holidays.country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError:
        return None


def next_day(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
