"""Reads numbers, times and yes or no as people and spreadsheets of several countries write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Literal

DecimalPoint = Literal[".", ","]
DateOrder = Literal["dmy", "mdy"]

_GROUPING = re.compile(r"(?<=\d)[\s'’](?=\d{3}(?:\D|$))")  # noqa: RUF001 - the apostrophe of Switzerland
_NUMBER = re.compile(r"[+-]?[\d.,]*\d", re.ASCII)
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[Ee]\+\d{1,2}", re.ASCII)
_YES = frozenset(("true", "yes", "y", "1", "on", "ja", "j", "oui", "si", "sí", "sim", "tak", "да", "д", "так"))
_NO = frozenset(("false", "no", "n", "0", "off", "nein", "non", "não", "nie", "нет", "н", "ні"))

_TIME = (
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT)?(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?)?)?"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATES = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}|\d{2})",
    r"(?P<first>\d{1,2})[/-](?P<second_>\d{1,2})[/-](?P<year>\d{4}|\d{2})",
    r"(?P<name>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})",
    r"(?P<day>\d{1,2})[ -](?P<name>[A-Za-z]{3})[a-z]*\.?[ -](?P<year>\d{4})",
)
_FORMS = tuple(re.compile(f"{date_}{_TIME}{_ZONE}", re.ASCII) for date_ in _DATES)


class Unreadable(ValueError):
    """The text is not what was expected; the message does not quote it."""


ROUNDED = "rounded by a spreadsheet, so that different ones look alike: save the column as text"


def is_rounded(text: str) -> bool:
    """Whether a spreadsheet wrote digits as a rounded number, 7.91612E+10, which is no id of anybody any longer."""
    return bool(_ROUNDED.fullmatch(text.strip()))


def decimal_of(text: str, *, point: DecimalPoint = ".") -> Decimal:
    """Read a number; `point` decides where one separator with three digits after it can be read in two ways.

    Raises Unreadable.
    """
    found = _GROUPING.sub("", text.strip().replace("\N{MINUS SIGN}", "-"))
    if not _NUMBER.fullmatch(found):
        raise Unreadable("not a number")
    whole, separator, fraction = _split(found, point)
    other = "." if separator == "," else ","
    groups = re.split(r"[.,]", whole) if separator else [whole]
    if separator and (separator in whole or not _are_groups(groups)):
        raise Unreadable("not a number")
    return Decimal(whole.replace(other, "") + (f".{fraction}" if fraction else ""))


def _split(number: str, point: DecimalPoint) -> tuple[str, str, str]:
    """Split a number into its whole part, the decimal separator and the fraction."""
    kinds = {sign for sign in number if sign in ".,"}
    if not kinds:
        return number, ".", ""
    last = max(kinds, key=number.rfind)
    whole, _, fraction = number.rpartition(last)
    if len(kinds) == 1:
        is_group = len(fraction) == 3 and _are_groups(number.lstrip("+-").split(last))
        if number.count(last) > 1 or (last != point and is_group):
            return number, "," if last == "." else ".", ""
    return whole, last, fraction


def _are_groups(parts: list[str]) -> bool:
    first, *others = parts
    return not others or (1 <= len(first.lstrip("+-")) <= 3 and all(len(each) == 3 for each in others))


def yes_or_no(text: str) -> bool:
    """Read yes or no in several languages; raises Unreadable."""
    word = text.strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise Unreadable("expected yes or no")


def moment_of(text: str, *, zone: tzinfo | None = None, order: DateOrder | None = None) -> datetime | date:
    """Read a time or a day; a time without a zone gets `zone`, and slashes mean day or month first by `order`.

    Unix seconds and milliseconds are times, too. Raises Unreadable.
    """
    written = " ".join(text[:100].split())
    if written.isascii() and written.isdigit() and len(written) in (10, 13):
        return datetime.fromtimestamp(int(written[:10]), UTC)
    moment = _iso(written) or _common(written, order)
    if not 1900 <= moment.year < 2200:
        raise Unreadable("the year must be between 1900 and 2199")
    return _zoned(moment, zone) if isinstance(moment, datetime) else moment


def _iso(written: str) -> datetime | date | None:
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(written)
        except ValueError:
            continue
    return None


def _common(written: str, order: DateOrder | None) -> datetime | date:
    found = next((match for form in _FORMS if (match := form.fullmatch(written))), None)
    if found is None:
        raise Unreadable("not a time or day, such as 2025-12-31 23:59:59 or 31.12.2025")
    parts = found.groupdict()
    try:
        day = _day(parts, order)
        return day if parts["hour"] is None else _time(parts, day)
    except (ValueError, OverflowError) as error:
        raise error if isinstance(error, Unreadable) else Unreadable("no such day or time of day") from None


def _zoned(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        raise Unreadable("the time has no zone: say --zone, such as --zone Europe/Berlin")
    return moment.replace(tzinfo=zone)


def _day(parts: dict[str, str | None], order: DateOrder | None) -> date:
    written = parts["year"] or ""
    year = int(written) + (2000 if len(written) == 2 else 0)
    if name := parts.get("name"):
        return date(year, _MONTHS.index(name.lower()) + 1, int(parts["day"] or ""))
    if "first" not in parts or parts["first"] is None:
        return date(year, int(parts["month"] or ""), int(parts["day"] or ""))
    first, second = int(parts["first"]), int(parts["second_"] or "")
    if order is None and first <= 12 and second <= 12 and first != second:
        raise Unreadable("day or month first? say --dates dmy or --dates mdy")
    month_first = order == "mdy" if order else second > 12
    return date(year, first, second) if month_first else date(year, second, first)


def _time(parts: dict[str, str | None], day: date) -> datetime:
    hour, half = int(parts["hour"] or ""), (parts["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise Unreadable("not a time of day")
        hour = hour % 12 + (12 if half == "p" else 0)
    local = datetime.combine(day, time(hour, int(parts["minute"] or ""), int(parts["second"] or "0")))
    if parts["offset"]:
        return local.replace(tzinfo=_offset(parts["offset"]))
    return local.replace(tzinfo=UTC) if parts["zone"] else local


def _offset(text: str) -> timezone:
    digits = text[1:].replace(":", "")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    apart = timedelta(hours=hours, minutes=minutes)
    return timezone(-apart if text[0] == "-" else apart)
