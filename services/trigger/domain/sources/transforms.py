"""The few changes a mapping may make to a value. None means: there is nothing after all."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Transform = str | dict[str, Any]
_Change = Callable[[Any], Any]

_UNITS = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000}


class CannotTransform(ValueError):
    """The value is not what this transform wants; it is not quoted."""


def unknown_transform(transform: Transform) -> str | None:
    """Say what is wrong with a transform, if anything is."""
    try:
        _compiled(transform)
    except (KeyError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return (
            "no such transform; there are trim, lower, upper, to_string, to_number, to_boolean, {minor_units: 2}, "
            "{time: iso | unix | unix_ms | unix_us | a format such as '%d.%m.%Y %H:%M', zone: Europe/Moscow}, "
            "{lookup: {theirs: ours}}, {absent_if: [values]}"
        )
    return None


def compile_transforms(transforms: Sequence[Transform]) -> _Change:
    """Make one function of several; it raises CannotTransform."""
    changes = [_compiled(transform) for transform in transforms]

    def change(value: Any) -> Any:
        for one in changes:
            if value is None:
                return None
            value = one(value)
        return value

    return change


def _compiled(transform: Transform) -> _Change:
    if isinstance(transform, str):
        return _SIMPLE[transform]
    match transform:
        case {"minor_units": int(digits), **rest} if not rest and 0 <= digits <= 4:
            return lambda value: _minor_units(value, digits)
        case {"lookup": dict(table), **rest} if not rest:
            return lambda value: table.get(value if isinstance(value, str) else _as_text(value))
        case {"absent_if": unwanted, **rest} if not rest:
            return _absent_if(unwanted if isinstance(unwanted, list) else [unwanted])
        case {"time": str(format_), **rest} if rest.keys() <= {"zone"}:
            return _time(format_, zone=rest.get("zone"))
    raise ValueError("no such transform")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CannotTransform("a text is wanted")
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise CannotTransform("one value is wanted, not several")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(value: Any) -> int | float:
    try:
        number = Decimal(_as_text(value))
    except InvalidOperation:
        raise CannotTransform("a number is wanted") from None
    if not number.is_finite() or number.adjusted() > 18:
        raise CannotTransform("a number of at most 18 digits is wanted")
    return int(number) if number == number.to_integral_value() else float(number)


def _boolean(value: Any) -> bool:
    text = _as_text(value).lower()
    if text in ("true", "yes", "y", "1"):
        return True
    if text in ("false", "no", "n", "0"):
        return False
    raise CannotTransform("yes or no is wanted")


def _minor_units(value: Any, digits: int) -> str:
    text = _as_text(value)
    if not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise CannotTransform("a whole number of minor units is wanted")
    return str(Decimal(text).scaleb(-digits))


def _absent_if(unwanted: Sequence[Any]) -> _Change:
    return lambda value: None if any(type(value) is type(one) and value == one for one in unwanted) else value


def _time(format_: str, *, zone: str | None) -> _Change:
    here = zoneinfo.ZoneInfo(zone) if zone else None
    datetime(2026, 1, 1, tzinfo=UTC).strftime(format_)

    def read(value: Any) -> str:
        moment = _moment(value, format_)
        if moment.tzinfo is None and here is None:
            raise CannotTransform("the time has no zone: add one, such as zone: Europe/Moscow")
        return (moment if moment.tzinfo else moment.replace(tzinfo=here)).isoformat()

    return read


def _moment(value: Any, format_: str) -> datetime:
    try:
        if format_ in _UNITS:
            return datetime.fromtimestamp(float(Decimal(_as_text(value)) / _UNITS[format_]), tz=UTC)
        if format_ == "iso":
            return datetime.fromisoformat(_text(value))
        return datetime.strptime(_text(value), format_)  # noqa: DTZ007 - a zone follows where the text has none
    except (ValueError, OverflowError, OSError, ArithmeticError):
        raise CannotTransform(f"not a time as {format_}") from None


_SIMPLE: dict[str, _Change] = {
    "trim": lambda value: _text(value).strip(),
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
    "to_string": _as_text,
    "to_number": _number,
    "to_boolean": _boolean,
}
