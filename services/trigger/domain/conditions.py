"""Declared conditions over an event, its customer and their history: data, compiled once to closures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import Occasion
from shared.events import AnswerPayload
from shared.vocabulary import AnswerMode

MAX_CONDITIONS = 200
MAX_DEPTH = 10

Found = str | bool | int | float | Decimal | tuple[str, ...] | None
Fields = Mapping[str, Found]

FIELDS = (
    "event.type",
    "event.source",
    "order.amount",
    "order.currency",
    "service.kind",
    *(f"touchpoint.{name}" for name in ("store", "region", "channel", "employee", "device", "stage")),
    "customer.locale",
    "customer.time_zone",
    "history.purchases",
    "history.days_since_first_purchase",
    "history.days_since_purchase",
    "history.days_since_asked",
    "history.days_since_answered",
    "history.last_category",
    "history.last_score",
    *(f"answer.{name}" for name in ("program", "score", "category", "reasons", "mode", "commented")),
)
OPEN_FIELDS = ("attributes.", "customer.attributes.")


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    BETWEEN = "between"
    CONTAINS = "contains"
    EXISTS = "exists"


def known_field(field: str) -> str:
    if field in FIELDS or any(field.startswith(start) and len(field) > len(start) for start in OPEN_FIELDS):
        return field
    raise ValueError(f"no such field; there are {', '.join(FIELDS)} and {', '.join(f'{s}<name>' for s in OPEN_FIELDS)}")


Value = Annotated[str, StringConstraints(max_length=1000)] | bool | int | float


class _Condition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Comparison(_Condition):
    """One field against one value; a field that is missing, or of another kind, is no match."""

    field: Annotated[str, StringConstraints(max_length=200), AfterValidator(known_field)]
    operator: Operator = Operator.EQ
    value: Value | Annotated[list[Value], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        match self.operator, self.value:
            case (Operator.EXISTS, None) | (Operator.IN, list()) | (Operator.BETWEEN, [_, _]):
                return self
            case Operator.EXISTS, _:
                raise ValueError("exists takes no value")
            case Operator.IN, _:
                raise ValueError("in wants a list of values")
            case Operator.BETWEEN, _:
                raise ValueError("between wants a list of two values, the least and the most")
            case operator_, list() | None:
                raise ValueError(f"{operator_} wants one value")
        return self


class AllOf(_Condition):
    all: Annotated[list[Condition], Field(min_length=1)]


class AnyOf(_Condition):
    any: Annotated[list[Condition], Field(min_length=1)]


class NotThis(_Condition):
    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    negated: Condition = Field(alias="not")


def _kind(given: object) -> str:
    match given:
        case {"all": _} | AllOf():
            return "<all>"
        case {"any": _} | AnyOf():
            return "<any>"
        case {"not": _} | NotThis():
            return "<not>"
    return "<comparison>"


Condition = Annotated[
    Annotated[AllOf, Tag("<all>")]
    | Annotated[AnyOf, Tag("<any>")]
    | Annotated[NotThis, Tag("<not>")]
    | Annotated[Comparison, Tag("<comparison>")],
    Discriminator(_kind),
]
AllOf.model_rebuild()
AnyOf.model_rebuild()
NotThis.model_rebuild()

Check = Callable[[Fields], Comparison | AllOf | AnyOf | NotThis | None]


def count(condition: Condition) -> int:
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return sum(map(count, parts))
        case NotThis(negated=part):
            return count(part)
    return 1


def depth(condition: Condition) -> int:
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return 1 + max(map(depth, parts))
        case NotThis(negated=part):
            return 1 + depth(part)
    return 1


def fields_in(condition: Condition) -> frozenset[str]:
    """Name the fields a condition wants to find; one it asks the existence of may well be missing."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return frozenset().union(*map(fields_in, parts))
        case NotThis(negated=part):
            return fields_in(part)
    return frozenset() if condition.operator is Operator.EXISTS else frozenset({condition.field})


def compile_check(condition: Condition) -> Check:
    """Make a function that returns None where the condition holds, else the part of it that does not."""
    match condition:
        case AllOf(all=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: next((miss for check in checks if (miss := check(fields)) is not None), None)
        case AnyOf(any=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: condition if all(check(fields) is not None for check in checks) else None
        case NotThis(negated=part):
            inner = compile_check(part)
            return lambda fields: condition if inner(fields) is None else None
    return _comparison(condition)


def _comparison(condition: Comparison) -> Check:
    holds = _test(condition.operator, condition.value)

    def check(fields: Fields) -> Comparison | None:
        found = fields.get(condition.field)
        return None if found is not None and holds(_comparable(found)) else condition

    return check


_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}


def _test(kind: Operator, value: Any) -> Callable[[Any], bool]:
    if kind is Operator.EXISTS:
        return lambda _found: True
    if kind is Operator.IN:
        members = {(type(wanted), wanted) for wanted in map(_comparable, value)}
        return lambda found: (type(found), found) in members
    if kind is Operator.BETWEEN:
        least: Any
        most: Any
        least, most = map(_comparable, value)
        return lambda found: type(found) is type(least) is type(most) and least <= found <= most
    if kind is Operator.CONTAINS:
        return lambda found: isinstance(found, tuple) and value in found
    wanted, compare = _comparable(value), _COMPARE[kind]
    return lambda found: type(found) is type(wanted) and compare(found, wanted)


def _comparable(value: Any) -> str | bool | Decimal | tuple[str, ...]:
    """Bring every number to one type: 10.1 of a document is the 10.1 of an event."""
    if isinstance(value, str | bool | Decimal | tuple):
        return value
    return Decimal(repr(value) if isinstance(value, float) else value)


def fields_of(payload: Occasion, *, source: str, respondent: Respondent, now: datetime) -> Fields:
    """Name everything a condition or a segment may ask about."""
    found: dict[str, Found] = {
        "event.type": payload.type,
        "event.source": source,
        "customer.locale": respondent.locale,
        "customer.time_zone": respondent.time_zone,
        **_history(respondent, now),
    }
    for part, names in _PARTS.items():
        about = getattr(payload, part, None)
        found |= {f"{part}.{name}": getattr(about, name, None) for name in names}
    if isinstance(payload, AnswerPayload):
        found |= _answer(payload)
    found |= {f"attributes.{name}": value for name, value in getattr(payload, "attributes", {}).items()}
    return found | {f"customer.attributes.{name}": value for name, value in respondent.attributes.items()}


def _history(respondent: Respondent, now: datetime) -> dict[str, Found]:
    return {
        "history.purchases": respondent.purchases,
        "history.days_since_first_purchase": _days_since(respondent.first_purchase_at, now),
        "history.days_since_purchase": _days_since(respondent.last_purchase_at, now),
        "history.days_since_asked": _days_since(respondent.last_asked_at, now),
        "history.days_since_answered": _days_since(respondent.last_answered_at, now),
        "history.last_category": respondent.last_category,
        "history.last_score": respondent.last_score,
    }


def _days_since(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max((now - moment).days, 0)


def _answer(answer: AnswerPayload) -> dict[str, Found]:
    return {
        "answer.program": answer.program.id,
        "answer.score": answer.score,
        "answer.category": answer.category.value,
        "answer.reasons": tuple(answer.reasons),
        "answer.mode": AnswerMode(answer.mode).value,
        "answer.commented": bool(answer.comment),
    }


_PARTS = {
    "order": ("amount", "currency"),
    "service": ("kind",),
    "touchpoint": ("store", "region", "channel", "employee", "device", "stage"),
}
