"""From somebody else's JSON to an event of ours, by a declared mapping: data, compiled once to closures.

A mapping makes at most one event of one document: the first of its `events` whose `when` holds. What it makes is a
CloudEvent still to be checked against the contract; `places` says where each field was taken from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from services.trigger.domain.sources.mapping_rules import (
    CustomerOf,
    Getter,
    Rule,
    Unmappable,
    compile_rule,
    described,
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


class EventRule(_Part):
    """One kind of event: when it is meant, and where its parts are found; `data` names fields by their dotted path."""

    type: str
    when: Annotated[
        dict[Path, Plain | Annotated[list[Plain], Field(max_length=100)] | Exists], Field(max_length=20)
    ] = {}
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
                raise ValueError(f"data.{target}: fields of {', '.join(_PARTS)} are wanted")
            if isinstance(rule, CustomerOf) and target != "customer.id":
                raise ValueError(f"data.{target}: customer_of is for customer.id")
            if inside := next((other for other in self.data if _is_inside(target, other)), None):
                raise ValueError(f"data.{target}: data.{inside} is one value already, leave one of the two out")
        missing = [target for target, types in _NEEDED.items() if self.type in types and target not in self.data]
        if missing:
            raise ValueError(f"data: {self.type} needs {', '.join(missing)}")
        return self


class MappingDocument(_Part):
    """`debezium` reads change events: `before`, `after`, `op`, with the schema around them or without."""

    envelope: Literal["none", "debezium"] = "none"
    events: Annotated[list[EventRule], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """A structured CloudEvent without its `source`, and the place each field came from.

    `customer_of` names the earlier event whose customer this one is about; then it has no customer of its own yet.
    """

    event: Mapping[str, Any]
    places: Mapping[str, str]
    customer_of: str | None = None


CompiledMapping = Callable[[Any], MappedEvent | None]
_Fill = Sequence[tuple[tuple[str, ...], str, Getter]]


def compile_mapping(document: MappingDocument) -> CompiledMapping:
    """Make a function of a decoded JSON object; it returns None for what is of no interest, and raises Unmappable."""
    rules = [(_test(event.when), _maker(event)) for event in document.events]
    unwrap = _debezium if document.envelope == "debezium" else _as_it_is

    def apply(given: Any) -> MappedEvent | None:
        found = unwrap(given)
        if found is None:
            return None
        return next((make(found) for holds, make in rules if holds(found)), None)

    return apply


def _as_it_is(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Unmappable("body", "an object is wanted")
    return given


def _debezium(given: Any) -> dict[str, Any] | None:
    """Take off the schema, if any; a tombstone is nothing."""
    if given is None:
        return None
    around = _as_it_is(given)
    inner = around.get("payload", around) if "schema" in around else around
    if inner is None:
        return None
    if not isinstance(inner, dict) or "op" not in inner:
        raise Unmappable("op", "not a Debezium change event")
    return {**{name: value for name, value in around.items() if name.startswith("$")}, **inner}


def _test(when: Mapping[str, Any]) -> Callable[[Any], bool]:
    tests = [(path_of(path), wanted) for path, wanted in when.items()]

    def holds(found: Any) -> bool:
        return all(_meets(get(found), wanted) for get, wanted in tests)

    return holds


def _meets(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Exists):
        return (value is not None) is wanted.exists
    return any(type(value) is type(one) and value == one for one in (wanted if isinstance(wanted, list) else [wanted]))


def _maker(rule: EventRule) -> Callable[[Any], MappedEvent]:
    identity, time = compile_rule("id", rule.id), compile_rule("time", rule.time)
    fills: _Fill = [(_names(target), target, compile_rule(target, one)) for target, one in rule.data.items()]
    places = {"id": described(rule.id), "time": described(rule.time)}
    places |= {target: described(one) for target, one in rule.data.items()}
    needed = {target for target, types in _NEEDED.items() if rule.type in types}
    looked_up = isinstance(rule.data["customer.id"], CustomerOf)

    def make(found: Any) -> MappedEvent:
        event = {"specversion": "1.0", "type": rule.type, "id": identity(found), "time": time(found)}
        for name in ("id", "time"):
            if event[name] is None:
                raise Unmappable(name, f"nothing is found at {places[name]}")
        filled = _filled(found, fills, needed, places)
        earlier = filled.pop("customer")["id"] if looked_up else None
        return MappedEvent({**event, "data": filled}, places, earlier)

    return make


def _names(target: str) -> tuple[str, ...]:
    """Split a dotted path; names in `attributes` may hold dots themselves."""
    depth = 2 if target.startswith("customer.attributes.") else 1 if target.startswith("attributes.") else -1
    return tuple(target.split(".", depth))


def _is_inside(target: str, other: str) -> bool:
    path, around = _names(target), _names(other)
    return len(around) < len(path) and path[: len(around)] == around


def _filled(found: Any, fills: _Fill, needed: set[str], places: Mapping[str, str]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for path, target, get in fills:
        value = get(found)
        if value is None:
            if target in needed:
                raise Unmappable(target, f"nothing is found at {places[target]}")
            continue
        place = filled
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return filled
