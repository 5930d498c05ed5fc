"""Types of the fields of a program document: durations, shares, time zones, locales, holiday calendars."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints

from shared.contract.events import Id
from shared.zones import is_time_zone

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
MAX_DURATION = timedelta(days=3650)


def _parse_duration(given: object) -> object:
    found = re.fullmatch(r"(\d{1,9}) *([wdhms])", given.strip()) if isinstance(given, str) else None
    if found is None and given not in (0, "0"):
        raise ValueError("expected a number and a unit, such as 90m, 2h, 3d or 2w")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]] if found else 0)


def _format_duration(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    return next(f"{seconds // size}{unit}" for unit, size in _UNITS.items() if unit != "w" and seconds % size == 0)


def _known_zone(zone: str) -> str:
    if not is_time_zone(zone):
        raise ValueError("no such time zone; names look like Europe/Moscow")
    return zone


def _known_calendar(name: str) -> str:
    import holidays  # noqa: PLC0415 - few programs have a calendar

    country, _, subdivision = name.partition("-")
    known = holidays.list_supported_countries()
    if country not in known or (subdivision and subdivision not in known[country]):
        raise ValueError(
            "expected a country whose holidays are known, such as RU or DE, or a part of one, such as US-CA"
        )
    return name


def _parse_share(given: object) -> object:
    if isinstance(given, str) and (found := re.fullmatch(r"(\d{1,3}(?:\.\d+)?) *%", given.strip())):
        return float(found[1]) / 100
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("expected a share, such as 25% or 0.25")  # noqa: TRY004 - pydantic reads ValueError
    return given


SamplingShare = Annotated[float, BeforeValidator(_parse_share), Field(ge=0, le=1)]
Duration = Annotated[
    timedelta, BeforeValidator(_parse_duration), Field(le=MAX_DURATION), PlainSerializer(_format_duration)
]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
HolidayCalendar = Annotated[Id, AfterValidator(_known_calendar)]
LocaleTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
StartingEvent = Literal["crm.purchase.completed", "crm.service.completed", "survey.answered"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
