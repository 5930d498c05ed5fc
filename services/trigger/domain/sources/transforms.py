"""The transforms that mappings may apply to a value; a result of None means that the value is missing."""

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
    """The value does not fit the transform; the text does not quote the value."""


def unknown_transform(transform: Transform) -> str | None:
    """Return the error of a transform, None if it is valid."""
    try:
        _compile(transform)
    except (KeyError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return (
            "no such transform; there are trim, lower, upper, to_string, to_number, to_boolean, {minor_units: 2}, "
            "{time: iso | unix | unix_ms | unix_us | a format such as '%d.%m.%Y %H:%M', zone: Europe/Moscow}, "
            "{lookup: {theirs: ours}}, {absent_if: [values]}"
        )
    return None


def compile_transforms(transforms: Sequence[Transform]) -> _Change:
    """Return a function that applies the transforms in order; it raises CannotTransform."""
    changes = [_compile(transform) for transform in transforms]

    def change(value: Any) -> Any:
        for one in changes:
            if value is None:
                return None
            value = one(value)
        return value

    return change


def _compile(transform: Transform) -> _Change:
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
        raise CannotTransform("expected a text")
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise CannotTransform("expected a single value")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(value: Any) -> int | float:
    try:
        number = Decimal(_as_text(value))
    except InvalidOperation:
        raise CannotTransform("expected a number") from None
    if not number.is_finite() or number.adjusted() > 18:
        raise CannotTransform("expected a number of at most 18 digits")
    return int(number) if number == number.to_integral_value() else float(number)


def _boolean(value: Any) -> bool:
    text = _as_text(value).lower()
    if text in ("true", "yes", "y", "1"):
        return True
    if text in ("false", "no", "n", "0"):
        return False
    raise CannotTransform("expected yes or no")


def _minor_units(value: Any, digits: int) -> str:
    text = _as_text(value)
    if not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise CannotTransform("expected a whole number of minor units")
    return str(Decimal(text).scaleb(-digits))


def _absent_if(unwanted: Sequence[Any]) -> _Change:
    return lambda value: None if any(type(value) is type(one) and value == one for one in unwanted) else value


def _time(format_: str, *, zone: str | None) -> _Change:
    default_zone = zoneinfo.ZoneInfo(zone) if zone else None
    datetime(2026, 1, 1, tzinfo=UTC).strftime(format_)

    def read(value: Any) -> str:
        moment = _parse_time(value, format_)
        if moment.tzinfo is None and default_zone is None:
            raise CannotTransform("the time has no zone: add one, such as zone: Europe/Moscow")
        return (moment if moment.tzinfo else moment.replace(tzinfo=default_zone)).isoformat()

    return read


def _parse_time(value: Any, format_: str) -> datetime:
    try:
        if format_ in _UNITS:
            return datetime.fromtimestamp(float(Decimal(_as_text(value)) / _UNITS[format_]), tz=UTC)
        if format_ == "iso":
            return datetime.fromisoformat(_text(value))
        return datetime.strptime(_text(value), format_)  # noqa: DTZ007 - `read` adds the zone
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
