"""Mappings turn foreign JSON into Earshot's events; they are declared in YAML and compiled once to functions.

A mapping makes at most one event of a JSON document: the first of its `events` whose `when` holds. The result is a
CloudEvent that is not validated yet; `places` has the path that each field was taken from. Only the id, the time and
the ids of customer, order and service decide whether there is an event; another field that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from services.trigger.domain.sources.debezium import change_event
from services.trigger.domain.sources.mapping_rules import (
    DECIDING,
    CustomerOf,
    Getter,
    Rule,
    Unmappable,
    compile_rule,
    describe,
    path_of,
)

__all__ = ["CompiledMapping", "MappedEvent", "MappingDocument", "Unmappable", "compile_mapping"]

TYPES = (
    "crm.purchase.completed",
    "crm.service.completed",
    "crm.order.delivered",
    "crm.purchase.cancelled",
    "crm.service.reopened",
    "crm.customer.updated",
    "crm.customer.erased",
)
_PARTS = ("customer", "order", "service", "touchpoint", "attributes", "reason")
_NEEDED = {"customer.id": TYPES, "order.id": (TYPES[0], TYPES[2], TYPES[3]), "service.id": (TYPES[1], TYPES[4])}

Plain = str | bool | int | float
Path = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Exists(_Part):
    exists: bool


class Unlike(_Part):
    """Holds for a value that is none of these; an absent value is none of them either."""

    values: Annotated[list[Plain], Field(min_length=1, max_length=100)] = Field(alias="not")

    @field_validator("values", mode="before")
    @classmethod
    def _single_to_list(cls, given: object) -> object:
        return given if isinstance(given, list) else [given]


def _kind_of_condition(given: object) -> str:
    match given:
        case {"exists": _} | Exists():
            return "<exists>"
        case {"not": _} | Unlike():
            return "<not>"
        case list():
            return "<one of>"
    return "<value>"


Condition = Annotated[
    Annotated[Plain, Tag("<value>")]
    | Annotated[list[Plain], Field(max_length=100), Tag("<one of>")]
    | Annotated[Exists, Tag("<exists>")]
    | Annotated[Unlike, Tag("<not>")],
    Discriminator(_kind_of_condition),
]
Conditions = Annotated[dict[Path, Condition], Field(max_length=20)]


class IgnoreRule(_Part):
    """Makes no event of a document that meets `when`; `ignore` says why."""

    when: Annotated[Conditions, Field(min_length=1)]
    ignore: Annotated[str, StringConstraints(min_length=1, max_length=300)]


class EventRule(_Part):
    """Maps a document that meets `when` to an event of this type; `data` has the rule of each field by dotted path."""

    type: str
    when: Conditions = {}
    id: Rule
    time: Rule
    data: Annotated[dict[Path, Rule], Field(max_length=100)]

    @field_validator("type")
    @classmethod
    def _known_type(cls, type_: str) -> str:
        if type_ not in TYPES:
            raise ValueError(f"no such event; there are {', '.join(TYPES)}")
        return type_

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for target, rule in self.data.items():
            if target.partition(".")[0] not in _PARTS:
                raise ValueError(f"data.{target}: expected fields of {', '.join(_PARTS)}")
            if isinstance(rule, CustomerOf) and target != "customer.id":
                raise ValueError(f"data.{target}: customer_of is only allowed for customer.id")
            if inside := next((other for other in self.data if _is_inside(target, other)), None):
                raise ValueError(f"data.{target}: data.{inside} is a single value, remove one of the two")
        missing = [target for target, types in _NEEDED.items() if self.type in types and target not in self.data]
        if missing:
            raise ValueError(f"data: {self.type} needs {', '.join(missing)}")
        return self


AnyRule = Annotated[
    Annotated[IgnoreRule, Tag("<ignore>")] | Annotated[EventRule, Tag("<event>")],
    Discriminator(lambda given: "<ignore>" if isinstance(given, IgnoreRule) or _has(given, "ignore") else "<event>"),
]


def _has(given: object, name: str) -> bool:
    return isinstance(given, dict) and name in given


class MappingDocument(_Part):
    """`debezium` reads change events (`before`, `after`, `op`), with or without their schema, also flattened ones."""

    envelope: Literal["none", "debezium"] = "none"
    events: Annotated[list[AnyRule], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """A structured CloudEvent without `source`, and the path that each field was taken from.

    `customer_of` is the id of an earlier event with the same customer; if it is set, this event has no customer yet.
    `ignored` has (field, reason) of what could not be read. `by_header` says that a header alone chose the event.
    """

    event: Mapping[str, Any]
    places: Mapping[str, str]
    customer_of: str | None = None
    ignored: Sequence[tuple[str, str]] = ()
    by_header: bool = False


CompiledMapping = Callable[[Any], MappedEvent | None]
_FieldGetters = Sequence[tuple[tuple[str, ...], str, Getter]]


def compile_mapping(document: MappingDocument) -> CompiledMapping:
    """Return a function of a decoded JSON object; it returns None if no event rule matches, and raises Unmappable."""
    rules = [(_compile_when(rule.when), _compile_rule(rule)) for rule in document.events]
    unwrap = change_event if document.envelope == "debezium" else _require_object

    def apply(given: Any) -> MappedEvent | None:
        found = unwrap(given)
        if found is None:
            return None
        return next((make(found) for holds, make in rules if holds(found)), None)

    return apply


def _require_object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Unmappable("body", "expected an object")
    return given


def _compile_when(when: Mapping[str, Any]) -> Callable[[Any], bool]:
    tests = [(path_of(path), wanted) for path, wanted in when.items()]

    def holds(found: Any) -> bool:
        return all(_matches(get(found), wanted) for get, wanted in tests)

    return holds


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Exists):
        return (value is not None) is wanted.exists
    if isinstance(wanted, Unlike):
        return not _matches(value, wanted.values)
    return any(type(value) is type(one) and value == one for one in (wanted if isinstance(wanted, list) else [wanted]))


def _compile_rule(rule: EventRule | IgnoreRule) -> Callable[[Any], MappedEvent | None]:
    return _compile_event(rule) if isinstance(rule, EventRule) else lambda _found: None


def _compile_event(rule: EventRule) -> Callable[[Any], MappedEvent]:
    identity, time = compile_rule("id", rule.id), compile_rule("time", rule.time)
    fields: _FieldGetters = [
        (_split_path(target), target, compile_rule(target, one)) for target, one in rule.data.items()
    ]
    places = {"id": describe(rule.id), "time": describe(rule.time)}
    places |= {target: describe(one) for target, one in rule.data.items()}
    needed = {target for target, types in _NEEDED.items() if rule.type in types}
    has_customer_of = isinstance(rule.data["customer.id"], CustomerOf)
    by_header = bool(rule.when) and all(path.startswith("$") for path in rule.when)

    def make(found: Any) -> MappedEvent:
        event = {"specversion": "1.0", "type": rule.type, "id": identity(found), "time": time(found)}
        for name in ("id", "time"):
            if event[name] is None:
                raise Unmappable(name, f"no value at {places[name]}")
        data, ignored = _data(found, fields, needed, places)
        earlier = data.pop("customer")["id"] if has_customer_of else None
        return MappedEvent({**event, "data": data}, places, earlier, ignored, by_header)

    return make


def _split_path(target: str) -> tuple[str, ...]:
    """Split a dotted path; the names of attributes may contain dots."""
    depth = 2 if target.startswith("customer.attributes.") else 1 if target.startswith("attributes.") else -1
    return tuple(target.split(".", depth))


def _is_inside(target: str, other: str) -> bool:
    path, outer = _split_path(target), _split_path(other)
    return len(outer) < len(path) and path[: len(outer)] == outer


def _data(
    found: Any, fields: _FieldGetters, needed: set[str], places: Mapping[str, str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the data, and (field, reason) of what could not be read; raises Unmappable for a field that decides."""
    data: dict[str, Any] = {}
    ignored: list[tuple[str, str]] = []
    for path, target, get in fields:
        try:
            value = get(found)
        except Unmappable as error:
            if target in DECIDING:
                raise
            ignored.append((target, error.why))
            continue
        if value is None:
            if target in needed:
                raise Unmappable(target, f"no value at {places[target]}")
            continue
        place = data
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return data, ignored
