"""Reads the `data` of a crm.* event whose details are not as the contract says.

Only the ids of customer (with its namespace), order and service decide whether it is taken. Null and blank are absent,
numbers are rounded and currencies written in capitals; any other detail that cannot be read is left out and named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.contract.cloudevents import IgnoredField
from shared.contract.events import CustomerUpdated, Payload

Path = tuple[str | int, ...]
P = TypeVar("P", bound=Payload)

MAX_NAMED = 20
MAX_NESTING = 500
"""Levels of objects and lists in a document from outside; half of what Python's own decoder can read."""
NOT_STORABLE = "contains a NUL character or is not Unicode"

_DEPTH = 5  # of the deepest field of the contract, such as order.items[0].name
_ROUNDS = 5
_LIMITS: Mapping[Path, int] = {("customer", "attributes"): 100, ("attributes",): 100, ("order", "items"): 500}
_IDENTIFIED = ("customer", "order", "service")
_DECIDING: frozenset[Path] = frozenset(
    {
        (),
        *((part,) for part in _IDENTIFIED),
        *((part, "id") for part in _IDENTIFIED),
        ("customer", "namespace"),
    }
)
_CONSENT = ("customer", "consent")
_CHANNELS = ("email", "sms", "call")
_NOT_GIVEN = "cannot be read, counts as not given"
_CODES = frozenset({"number", "phone", "kind", "store", "region", "channel", "employee", "device", "stage"})
_CURRENCY = re.compile(r"[A-Z]{3}")
_PLACES, _DIGITS = Decimal("0.0001"), 18
_LONGEST_NUMBER = 4300  # digits; Python converts no longer ones
_WHY = {
    "finite_number": "not a number",
    "decimal_parsing": "not a number",
    "decimal_type": "not a number",
    "decimal_max_digits": "too many digits",
    "decimal_whole_digits": "too many digits",
    "string_too_long": "too long",
    "string_pattern_mismatch": "not a currency code",
}


class Undecidable(ValueError):
    """A field that decides whether an event is taken cannot be read; the text names it without its value."""


class _NotStorable:
    """Stands for a text that PostgreSQL cannot store; it is valid in no field."""


def decode_json(body: bytes) -> Any:
    """Decode JSON as some producers write it, with NaN, broken Unicode or a byte order mark.

    Raises ValueError and RecursionError.
    """
    text = body.decode(json.detect_encoding(body), "surrogateescape")
    found = json.loads(text, strict=False, parse_int=_whole)
    check_nesting(body, found)
    return found


def check_nesting(body: bytes, found: Any) -> None:
    """Raise RecursionError if decoded JSON is nested deeper than `MAX_NESTING`; decoders differ by Python version."""
    if body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return
    level = [found]
    for _ in range(MAX_NESTING):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise RecursionError(f"nested deeper than {MAX_NESTING} levels")


def _inner(outer: Any) -> Iterable[Any]:
    if isinstance(outer, dict):
        return outer.values()
    return outer if isinstance(outer, list) else ()


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float("inf")


def read_leniently(model: type[P], found: Any) -> tuple[P, tuple[IgnoredField, ...]]:
    """Read decoded `data`; also return the fields that were left out. Raises Undecidable."""
    left_out: dict[IgnoredField, None] = {}  # a dict keeps the order
    found = _storable(found, _DEPTH)
    _write_ids_as_text(found)
    for path, limit in _LIMITS.items():
        _limit(found, path, limit, left_out)
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(found), _bounded(left_out)
        except ValidationError as error:
            mistakes = _mistakes(error, found)
        for path in sorted(mistakes, key=_from_the_end):
            _repair(found, path, mistakes[path], is_patch=model is CustomerUpdated, left_out=left_out)
    raise Undecidable("data: cannot be read")


def _storable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if _is_storable(value) else _NotStorable()
    if depth and isinstance(value, dict):
        return {name: _storable(inner, depth - 1) for name, inner in value.items()}
    return [_storable(inner, depth - 1) for inner in value] if depth and isinstance(value, list) else value


def _write_ids_as_text(found: Any) -> None:
    """Replace ids that are whole numbers by their digits."""
    items = _at(found, ("order", "items"))
    for place in (*(_at(found, (part,)) for part in _IDENTIFIED), *(items if isinstance(items, list) else ())):
        if isinstance(place, dict) and (digits := whole_number(place.get("id"))) is not None:
            place["id"] = digits


def whole_number(value: Any) -> str | None:
    """Return the digits of a whole number, also of one written as 7.0; None for everything else."""
    is_whole = type(value) is int or (type(value) is float and value.is_integer())
    return str(int(value)) if is_whole else None


def _is_storable(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


def _limit(found: Any, path: Path, limit: int, left_out: dict[IgnoredField, None]) -> None:
    """Keep the first entries of a list or of attributes, and only attributes whose names can be stored."""
    place, entries = _at(found, path[:-1]), _at(found, path)
    if isinstance(entries, dict):
        names = [name for name in entries if _is_storable(name)]
        place[path[-1]] = {name: entries[name] for name in names[:limit]}
        if len(names) < len(entries):
            left_out[IgnoredField(_dotted(path), f"a name {NOT_STORABLE}")] = None
    elif isinstance(entries, list):
        place[path[-1]] = entries[:limit]
    if isinstance(entries, dict | list) and len(entries) > limit:
        left_out[IgnoredField(_dotted(path), f"only the first {limit} are read")] = None


def _mistakes(error: ValidationError, found: Any) -> dict[Path, str]:
    """Return the kind of each mistake by the path to repair; raises Undecidable."""
    mistakes: dict[Path, str] = {}
    deciding: list[str] = []
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        if _is_other_form(each["loc"], found):
            continue
        path = _to_repair(each["loc"])
        mistakes.setdefault(path, each["type"])
        if path in _DECIDING:
            why = "Input should be an object" if each["type"] == "model_type" else each["msg"]
            why = NOT_STORABLE if isinstance(_at(found, path), _NotStorable) else why
            deciding.append(f"{'.'.join(map(str, path)) or 'data'}: {why}")
    if deciding:
        raise Undecidable("; ".join(deciding))
    return {path: kind for path, kind in mistakes.items() if not any(path[:n] in mistakes for n in range(len(path)))}


def _to_repair(location: Sequence[str | int]) -> Path:
    """Return the path of a mistake: of an attribute, not of a type it may have; of an item, if its id is wrong."""
    path = tuple(location)
    match path:
        case ("attributes", name, *_):
            return ("attributes", name)
        case ("customer", "attributes", name, *_):
            return ("customer", "attributes", name)
        case ("order", "items", int(index), "id", *_):
            return ("order", "items", index)
        case ("customer", "consent", _, "bool" | "ConsentRecord", *inner):
            return (*path[:3], *inner)
    return path


def _is_other_form(location: Sequence[str | int], found: Any) -> bool:
    """Whether a mistake is only that the record of a consent is not true or false."""
    return tuple(location[:2]) == _CONSENT and location[3:] == ("bool",) and isinstance(_at(found, location[:3]), dict)


def _from_the_end(path: Path) -> tuple[tuple[int, str], ...]:
    """Sort the last entries of a list first, so that removing one leaves the places of the others."""
    return tuple((-part, "") if isinstance(part, int) else (0, part) for part in path)


def _repair(found: Any, path: Path, kind: str, *, is_patch: bool, left_out: dict[IgnoredField, None]) -> None:
    """Repair one field in its place, or remove it and name it unless it is null or blank."""
    place, name = _at(found, path[:-1]), path[-1]
    value = _at(found, path)
    if path == _CONSENT and is_patch and value is None:
        place[name] = dict.fromkeys(_CHANNELS)
    elif path[:2] == _CONSENT and len(path) > len(_CONSENT) + 1:
        _repair_record(found, path, left_out=left_out)
    elif value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip()):
        del place[name]
    elif path[:2] == _CONSENT:
        place[name] = dict.fromkeys(_CHANNELS, False) if path == _CONSENT else False
        left_out[IgnoredField(_dotted(path), _NOT_GIVEN)] = None
    elif (better := _better(value, name, kind)) is not None:
        place[name] = better
    else:
        del place[name]
        why = NOT_STORABLE if isinstance(value, _NotStorable) else _WHY.get(kind, "cannot be read")
        left_out[IgnoredField(_dotted(path), why)] = None


def _repair_record(found: Any, path: Path, *, left_out: dict[IgnoredField, None]) -> None:
    """Repair a field of the record of a consent: one without a readable yes is a no, and so is one to no purpose."""
    place, name, value = _at(found, path[:-1]), path[-1], _at(found, path)
    if name == "given":
        _at(found, _CONSENT)[path[2]] = False
    elif name == "purposes":
        place[name] = []
    else:
        del place[name]
        if isinstance(value, str) and not value.strip():
            return
    why = _NOT_GIVEN if name in ("given", "purposes") else "cannot be read"
    left_out[IgnoredField(_dotted(path), why)] = None


def _better(value: Any, name: str | int, kind: str) -> str | None:
    """Return a readable form of a value, None if it has none."""
    if kind in ("decimal_max_places", "decimal_max_digits"):
        return _rounded(value)
    if name == "currency" and isinstance(value, str):
        code = value.strip().upper()
        return code if _CURRENCY.fullmatch(code) else None
    return whole_number(value) if name in _CODES else None


def _rounded(value: Any) -> str | None:
    try:
        number = Decimal(str(value).strip()).quantize(_PLACES, ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return f"{number.normalize():f}" if len(number.as_tuple().digits) <= _DIGITS else None


def _at(found: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and isinstance(part, int):
            found = found[part]
        else:
            return None
    return found


def _dotted(path: Path) -> str:
    """Write a path; the name of an attribute is left out if it might be an address or a number of a person."""
    named = ".".join(map(str, path))
    is_plain = "attributes" not in path[:-1] or re.fullmatch(r"[^\W\d][\w.-]{0,49}", str(path[-1]))
    return named if is_plain else ".".join(map(str, path[:-1]))


def _bounded(left_out: Mapping[IgnoredField, None]) -> tuple[IgnoredField, ...]:
    named = tuple(left_out)
    return named if len(named) <= MAX_NAMED else (*named[: MAX_NAMED - 1], IgnoredField("data", "and more fields"))
