"""Declared conditions over an event, its customer and their history: data, compiled once to closures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
from services.trigger.domain.touchpoints import TriggerPayload, is_answer
from shared.contract.events import AnswerPayload
from shared.contract.vocabulary import AnswerMode

MAX_CONDITIONS = 200
MAX_DEPTH = 10

Found = str | bool | int | float | Decimal | tuple[str, ...] | None
Fields = Mapping[str, Found]

TOUCHPOINT_FIELDS = ("store", "region", "channel", "employee", "device", "stage")
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


def _types_of(field: str) -> tuple[tuple[type, ...], str]:
    """Name the types a field's values can have, and what to say of others."""
    if field in _TEXTS:
        return (str,), "is text: put it in quotes"
    if field in _NUMBERS:
        return (int, float), "is a number: write it without quotes"
    return ((bool,), "is true or false") if field in _TRUTHS else ((), "")


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

    @model_validator(mode="after")
    def _can_be_equal(self) -> Self:
        """Refuse a value the field never equals; what attributes hold is the shop's own."""
        types, wrong = _types_of(self.field)
        values = self.value if isinstance(self.value, list) else [self.value]
        if types and any(value is not None and type(value) not in types for value in values):
            raise ValueError(f"{self.field} {wrong}")
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

Miss = Mapping[str, Any]
Check = Callable[[Fields], Miss | None]


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
    """Make a function that returns None where the condition holds, else the part of it that does not, as written."""
    miss = condition.model_dump(mode="json", exclude_none=True)
    match condition:
        case AllOf(all=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: next((found for check in checks if (found := check(fields)) is not None), None)
        case AnyOf(any=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: miss if all(check(fields) is not None for check in checks) else None
        case NotThis(negated=part):
            inner = compile_check(part)
            return lambda fields: miss if inner(fields) is None else None
    return _comparison(condition, miss)


def _comparison(condition: Comparison, miss: Miss) -> Check:
    holds, field = _test(condition.operator, condition.value), condition.field

    def check(fields: Fields) -> Miss | None:
        found = fields.get(field)
        return None if found is not None and holds(_comparable(found)) else miss

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


_AS_THEY_ARE = (str, bool, Decimal, tuple)


def _comparable(value: Any) -> str | bool | Decimal | tuple[str, ...]:
    """Bring every number to one type: 10.1 of a document is the 10.1 of an event."""
    if isinstance(value, _AS_THEY_ARE):
        return value
    return Decimal(repr(value) if isinstance(value, float) else value)


@dataclass(slots=True)
class EventFields(Mapping[str, Found]):
    """Everything a condition or a segment may ask about, found out when it is asked for."""

    payload: TriggerPayload
    source: str
    respondent: Respondent
    now: datetime

    def __getitem__(self, name: str) -> Found:
        if read := _READERS.get(name):
            return read(self)
        return self._open()[name]

    def get(self, name: str, default: Any = None) -> Any:
        return read(self) if (read := _READERS.get(name)) else self._open().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter((*_READERS, *self._open()))

    def __len__(self) -> int:
        return len(_READERS) + len(self._open())

    def _open(self) -> dict[str, Found]:
        said = {f"attributes.{name}": value for name, value in getattr(self.payload, "attributes", {}).items()}
        return said | {f"customer.attributes.{name}": value for name, value in self.respondent.attributes.items()}


_Reader = Callable[[EventFields], Found]


def _days_since(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max((now - moment).days, 0)


def _part(part: str, name: str) -> _Reader:
    return lambda about: getattr(getattr(about.payload, part, None), name, None)


def _answer(read: Callable[[AnswerPayload], Found]) -> _Reader:
    return lambda about: read(about.payload) if is_answer(about.payload) else None


def _days(name: str) -> _Reader:
    return lambda about: _days_since(getattr(about.respondent, name), about.now)


_TEXTS: Mapping[str, _Reader] = {
    "event.type": lambda about: about.payload.type,
    "event.source": lambda about: about.source,
    "order.currency": _part("order", "currency"),
    "service.kind": _part("service", "kind"),
    **{f"touchpoint.{name}": _part("touchpoint", name) for name in TOUCHPOINT_FIELDS},
    "customer.locale": lambda about: about.respondent.locale,
    "customer.time_zone": lambda about: about.respondent.time_zone,
    "history.last_category": lambda about: about.respondent.last_category,
    "answer.program": _answer(lambda answer: answer.program.id),
    "answer.category": _answer(lambda answer: answer.category.value),
    "answer.reasons": _answer(lambda answer: tuple(answer.reasons)),
    "answer.mode": _answer(lambda answer: AnswerMode(answer.mode).value),
}
_NUMBERS: Mapping[str, _Reader] = {
    "order.amount": _part("order", "amount"),
    "history.purchases": lambda about: about.respondent.purchases,
    "history.days_since_first_purchase": _days("first_purchase_at"),
    "history.days_since_purchase": _days("last_purchase_at"),
    "history.days_since_asked": _days("last_asked_at"),
    "history.days_since_answered": _days("last_answered_at"),
    "history.last_score": lambda about: about.respondent.last_score,
    "answer.score": _answer(lambda answer: answer.score),
}
_TRUTHS: Mapping[str, _Reader] = {"answer.commented": _answer(lambda answer: bool(answer.comment))}
_READERS = {**_TEXTS, **_NUMBERS, **_TRUTHS}
FIELDS = tuple(sorted(_READERS))
