"""The transforms that mappings may apply to a value; a result of None means that the value is missing."""

from __future__ import annotations

import base64
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from shared.tables.values import Unreadable, decimal_of

Transform = str | dict[str, Any]
_Change = Callable[[Any], Any]

_UNITS = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000, "unix_ns": 1_000_000_000}
_DAY_S = 86_400


class CannotTransform(ValueError):
    """The value does not fit the transform; the text does not quote the value."""


def unknown_transform(transform: Transform) -> str | None:
    """Return the error of a transform, None if it is valid."""
    try:
        _compile(transform)
    except (KeyError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return (
            "no such transform; there are trim, lower, upper, to_string, to_number, to_boolean, host, "
            "{minor_units: 2}, {decimal: 2}, {number: ','}, "
            "{time: iso | unix | unix_ms | unix_us | unix_ns | unix_days | "
            "a format such as '%d.%m.%Y %H:%M', zone: Europe/Moscow}, {lookup: {theirs: ours}}, {absent_if: [values]}, "
            "{latest: created_at, without: {status: [cancelled]}}"
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
    name = next((name for name in _WITH_VALUE if name in transform), "")
    return _WITH_VALUE[name](transform[name], **{key: value for key, value in transform.items() if key != name})


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


def _local_number(point: Any) -> _Change:
    """Compile a transform of numbers as people write them; `point` is the decimal point."""
    if point not in (".", ","):
        raise ValueError("no such transform")

    def read(value: Any) -> str:
        try:
            return str(decimal_of(_as_text(value), point=point))
        except Unreadable:
            raise CannotTransform("expected a number") from None

    return read


def _boolean(value: Any) -> bool:
    text = _as_text(value).lower()
    if text in ("true", "yes", "y", "1"):
        return True
    if text in ("false", "no", "n", "0"):
        return False
    raise CannotTransform("expected yes or no")


def _with_digits(change: Callable[[Any, int], Any], *, most: int) -> Callable[[Any], _Change]:
    """Return a function that compiles a transform whose argument is a number of digits."""

    def compiled(digits: Any) -> _Change:
        if type(digits) is not int or not 0 <= digits <= most:
            raise ValueError("no such number of digits")
        return lambda value: change(value, digits)

    return compiled


def _minor_units(value: Any, digits: int) -> str:
    text = _as_text(value)
    if not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise CannotTransform("expected a whole number of minor units")
    return str(Decimal(text).scaleb(-digits))


def _decimal(value: Any, scale: int) -> str | int | float:
    """Read a NUMERIC as Kafka Connect writes it: the bytes of a whole number, or {scale, value} with its own scale.

    A number, and a text with a decimal point, are what the other modes of Debezium write; they are returned unchanged.
    """
    if (isinstance(value, int | float) and not isinstance(value, bool)) or (isinstance(value, str) and "." in value):
        return value
    digits, text = (value.get("scale"), value.get("value")) if isinstance(value, Mapping) else (scale, value)
    try:
        unscaled = base64.b64decode(_text(text), validate=True)
    except ValueError:
        raise CannotTransform("expected the bytes of a decimal in Base64") from None
    if not unscaled or len(unscaled) > 16 or type(digits) is not int or not -18 <= digits <= 18:
        raise CannotTransform("expected a decimal of at most 38 digits")
    return f"{Decimal(int.from_bytes(unscaled, signed=True)).scaleb(-digits):f}"


def _host(value: Any) -> str | None:
    """Return the name of the host in an address such as https://shop.example/; it may lack the scheme."""
    text = _text(value).strip()
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname
    except ValueError:
        raise CannotTransform("expected the address of a site") from None


def _latest(name: Any, *, without: Mapping[str, Any] | None = None) -> _Change:
    unwanted = {key: no if isinstance(no, list) else [no] for key, no in dict(without or {}).items()}
    if not isinstance(name, str):
        raise TypeError("expected the name of a field")

    def latest(value: Any) -> str | None:
        if not isinstance(value, list):
            raise CannotTransform("expected a list")
        wanted = (
            one for one in value if isinstance(one, dict) and not any(one.get(k) in no for k, no in unwanted.items())
        )
        times = [one[name] for one in wanted if one.get(name)]
        return max(times, key=_moment, default=None)

    return latest


def _moment(text: Any) -> float:
    return _parse_time(text, "iso").timestamp()


def _lookup(table: Any) -> _Change:
    known = dict(table)
    return lambda value: known.get(value if isinstance(value, str) else _as_text(value))


def _absent_if(given: Any) -> _Change:
    unwanted = given if isinstance(given, list) else [given]
    return lambda value: None if any(type(value) is type(one) and value == one for one in unwanted) else value


def _time(format_: str, *, zone: str | None = None) -> _Change:
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
        if format_ == "unix_days":
            return datetime.fromtimestamp(int(_as_text(value)) * _DAY_S, tz=UTC).replace(tzinfo=None)
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
    "host": _host,
}

_WITH_VALUE: Mapping[str, Callable[..., _Change]] = {
    "minor_units": _with_digits(_minor_units, most=4),
    "decimal": _with_digits(_decimal, most=18),
    "number": _local_number,
    "latest": _latest,
    "lookup": _lookup,
    "absent_if": _absent_if,
    "time": _time,
}
