"""Days, times and numbers as the current language writes them; English as this project always has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal, format_percent

from shared.languages.catalogue import ENGLISH
from shared.languages.current import current, ngettext
from shared.languages.marking import mark_plural
from shared.zones import current_zone

_SPANS: Sequence[tuple[int, tuple[str, str]]] = (  # by their seconds
    (86_400, mark_plural("%(num)s day", "%(num)s days")),
    (3_600, mark_plural("%(num)s hour", "%(num)s hours")),
    (60, mark_plural("%(num)s minute", "%(num)s minutes")),
    (1, mark_plural("%(num)s second", "%(num)s seconds")),
)
_SPACE, _NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


def day(of: date) -> str:
    """Write a day with its year, `3 Sep 2026`."""
    language = current.get()
    if language.code == ENGLISH:
        return format_date(of, "d MMM y", locale=language.locale)
    return format_skeleton("yMMMd", of, locale=language.locale)


def short_day(of: date) -> str:
    """Write a day without its year, `3 Sep`."""
    language = current.get()
    if language.code == ENGLISH:
        return format_date(of, "d MMM", locale=language.locale)
    return format_skeleton("MMMd", of, locale=language.locale)


def weekday(at: datetime) -> str:
    """Write the day of the week in the reader's zone, `Thu`."""
    return format_date(local(at), "EEE", locale=current.get().locale)


def day_range(first: date, last: date) -> str:
    """Write the first and the last day, with the year only once when it is the same."""
    return f"{short_day(first) if first.year == last.year else day(first)} – {day(last)}"  # noqa: RUF001 - a dash


def local(at: datetime) -> datetime:
    """Return the time in the reader's zone."""
    return at.astimezone(current_zone.get())


def moment(at: datetime) -> str:
    """Write a time in the reader's zone, `3 Sep 2026, 07:05`."""
    return f"{day(local(at))}, {local(at):%H:%M}"


def zone() -> str:
    """Write the name of the reader's zone, `Europe/Moscow`."""
    return current_zone.get().key


def span(of: timedelta) -> str:
    """Write a length of time as a whole number of the largest unit that divides it, `36 hours`."""
    seconds = round(of.total_seconds())
    size, (one, many) = next((size, unit) for size, unit in _SPANS if seconds % size == 0)
    return ngettext(one, many, seconds // size)


def quoted(text: str) -> str:
    """Put a text into quotation marks."""
    start, end = "«»" if current.get().locale.language == "ru" else "“”"
    return f"{start}{text}{end}"


def grouped(count: int) -> str:
    """Write a whole number with its digits in groups of three."""
    language = current.get()
    if language.code == ENGLISH:
        return f"{count:,}".replace(",", _NARROW)
    return format_decimal(count, locale=language.locale)


def price(amount: Decimal) -> str:
    """Write an amount of money with two to four decimals, without its currency."""
    return decimal(amount, "0.00##")


def decimal(of: float | Decimal, pattern: str = "0.######") -> str:
    """Write a number with the decimals of a pattern (UTS 35): `0` is always written, `#` where it is not zero."""
    return format_decimal(of, format=pattern, locale=current.get().locale)


def percent(share: float) -> str:
    language = current.get()
    if language.code == ENGLISH:
        return f"{share * 100:.0f}{_SPACE}%"
    return format_percent(round(share, 2), locale=language.locale)
