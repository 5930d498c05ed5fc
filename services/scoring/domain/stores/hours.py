"""Opening hours of a week, as people write them: `mon-fri 09:00-21:00; sat 10:00-13:00, 14:00-26:00`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import NamedTuple

from shared.languages.current import gettext

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_RUSSIAN = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")
_LONG = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS: Mapping[str, int] = {
    name: day
    for names in (WEEKDAYS, _RUSSIAN, _LONG, _FULL, [each[:2] for each in WEEKDAYS])
    for day, name in enumerate(names)
}
_DAILY = ("", "daily", "every day", "ежедневно")
_ALWAYS = ("24/7", "круглосуточно")
_CLOSED = ("closed", "выходной", "закрыто")
_DASHES = re.compile(r"\s*[-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}]\s*")
_TIMES = re.compile(rf"\d{{1,2}}[:.]\d|{'|'.join(_CLOSED)}")
_TIME_RANGE = re.compile(r"(\d{1,2})[:.](\d{2})-(\d{1,2})[:.](\d{2})", re.ASCII)


class Opening(NamedTuple):
    """Minutes since the midnight that begins the day; an end after 24:00 is on the next day."""

    begins: int
    ends: int

    def __str__(self) -> str:
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in self)


Hours = Mapping[str, tuple[Opening, ...]]  # by weekday; one that is missing is closed, and {} is not known


class InvalidHours(ValueError):
    """The text says no opening hours; the message says why."""


def parse_hours(text: str) -> Hours:
    """Read the hours of a week; days that are not named are closed. Raises InvalidHours."""
    found: dict[str, tuple[Opening, ...]] = {}
    for part in re.split(r"[;\n]", _DASHES.sub("-", text.casefold())):
        if not part.strip():
            continue
        days, openings = _part(part.strip())
        if twice := next((day for day in days if day in found), None):
            raise InvalidHours(gettext("%(day)s is there twice", day=twice))
        found |= dict.fromkeys(days, openings)
    return {day: found[day] for day in WEEKDAYS if found.get(day)}


def _part(part: str) -> tuple[list[str], tuple[Opening, ...]]:
    if part in _ALWAYS:
        return list(WEEKDAYS), (Opening(0, _DAY),)
    times = _TIMES.search(part)
    if times is None:
        raise InvalidHours(gettext("expected days and times, such as mon-fri 09:00-21:00; sat 10:00-18:00"))
    return list(_days(part[: times.start()].strip(" :,"))), parse_day(part[times.start() :])


def _days(text: str) -> Iterator[str]:
    if text in _DAILY:
        yield from WEEKDAYS
        return
    for each in re.split(r"[\s,]+", text):
        ends = [_DAYS.get(name.rstrip(".")) for name in each.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2 or first > last:
            raise InvalidHours(gettext("no such days as %(text)s; write mon-fri, sat", text=repr(each[:20])))
        yield from WEEKDAYS[first : last + 1]


def parse_day(text: str) -> tuple[Opening, ...]:
    """Read the hours of one day, `09:00-13:00, 14:00-21:00`, or none for `closed`; raises InvalidHours."""
    written = _DASHES.sub("-", text.strip().casefold())
    if written in ("", *_CLOSED):
        return ()
    openings = tuple(sorted(_opening(each.strip()) for each in written.split(",")))
    if any(later.begins < earlier.ends for earlier, later in pairwise(openings)):
        raise InvalidHours(gettext("times of one day overlap"))
    return openings


def _opening(text: str) -> Opening:
    found = _TIME_RANGE.fullmatch(text)
    hour, minute, last_hour, last_minute = map(int, found.groups()) if found else (99, 0, 0, 0)
    opening = Opening(hour * 60 + minute, last_hour * 60 + last_minute)
    if max(minute, last_minute) > 59 or opening.begins >= _DAY:
        raise InvalidHours(gettext("expected times such as 09:00-21:00"))
    if opening.ends <= opening.begins:
        raise InvalidHours(
            gettext("they end before they begin; an end in the night is written after 24:00, as in 18:00-26:00")
        )
    if opening.ends > opening.begins + _DAY:
        raise InvalidHours(gettext("they last longer than 24 hours"))
    return opening


def day_text(openings: tuple[Opening, ...]) -> str:
    return ", ".join(map(str, openings))


def hours_text(hours: Hours) -> str:
    """Write the hours of a week as `parse_hours` reads them, days in a row with the same hours together."""
    parts = []
    for openings, days in groupby(WEEKDAYS, key=lambda day: hours.get(day, ())):
        first, *others = days
        if openings:
            parts.append(f"{first}{f'-{others[-1]}' if others else ''} {day_text(openings)}")
    return "; ".join(parts)
