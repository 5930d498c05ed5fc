"""Conditions of a program: declared in the document, compiled once to functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
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

from services.trigger.domain.programs.event_fields import Fields, expected_types, known_field

MAX_CONDITIONS = 200
MAX_DEPTH = 10


class ComparisonOperator(StrEnum):
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


ComparisonValue = Annotated[str, StringConstraints(max_length=1000)] | bool | int | float


class _Condition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Comparison(_Condition):
    """Compares one field with a value; a field that is missing or of another type never matches."""

    field: Annotated[str, StringConstraints(max_length=200), AfterValidator(known_field)]
    operator: ComparisonOperator = ComparisonOperator.EQ
    value: ComparisonValue | Annotated[list[ComparisonValue], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Self:
        match self.operator, self.value:
            case (
                (ComparisonOperator.EXISTS, None)
                | (ComparisonOperator.IN, list())
                | (ComparisonOperator.BETWEEN, [_, _])
            ):
                return self
            case ComparisonOperator.EXISTS, _:
                raise ValueError("exists takes no value")
            case ComparisonOperator.IN, _:
                raise ValueError("in takes a list of values")
            case ComparisonOperator.BETWEEN, _:
                raise ValueError("between takes a list of two values, the minimum and the maximum")
            case operator_, list() | None:
                raise ValueError(f"{operator_} takes one value")
        return self

    @model_validator(mode="after")
    def _value_fits_field(self) -> Self:
        """Reject a value of a type the field never has; attributes may have any type."""
        types, message = expected_types(self.field)
        values = self.value if isinstance(self.value, list) else [self.value]
        if types and any(value is not None and type(value) not in types for value in values):
            raise ValueError(f"{self.field} {message}")
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

UnmetCondition = Mapping[str, Any]
ConditionCheck = Callable[[Fields], UnmetCondition | None]


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
    """Return the fields a condition compares, without those it only tests for existence, which may be missing."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return frozenset().union(*map(fields_in, parts))
        case NotThis(negated=part):
            return fields_in(part)
    return frozenset() if condition.operator is ComparisonOperator.EXISTS else frozenset({condition.field})


def compile_check(condition: Condition) -> ConditionCheck:
    """Return a function that returns None if the condition holds, else the part that does not, as JSON."""
    unmet = condition.model_dump(mode="json", exclude_none=True)
    match condition:
        case AllOf(all=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: next((found for check in checks if (found := check(fields)) is not None), None)
        case AnyOf(any=parts):
            checks = [compile_check(part) for part in parts]
            return lambda fields: unmet if all(check(fields) is not None for check in checks) else None
        case NotThis(negated=part):
            inner = compile_check(part)
            return lambda fields: unmet if inner(fields) is None else None
    return _compile_comparison(condition, unmet)


def _compile_comparison(condition: Comparison, unmet: UnmetCondition) -> ConditionCheck:
    holds, field = _compile_operator(condition.operator, condition.value), condition.field

    def check(fields: Fields) -> UnmetCondition | None:
        found = fields.get(field)
        return None if found is not None and holds(_comparable(found)) else unmet

    return check


_COMPARE: dict[ComparisonOperator, Callable[[Any, Any], bool]] = {
    ComparisonOperator.EQ: operator.eq,
    ComparisonOperator.NE: operator.ne,
    ComparisonOperator.LT: operator.lt,
    ComparisonOperator.LE: operator.le,
    ComparisonOperator.GT: operator.gt,
    ComparisonOperator.GE: operator.ge,
}


def _compile_operator(kind: ComparisonOperator, value: Any) -> Callable[[Any], bool]:
    if kind is ComparisonOperator.EXISTS:
        return lambda _found: True
    if kind is ComparisonOperator.IN:
        members = {(type(wanted), wanted) for wanted in map(_comparable, value)}
        return lambda found: (type(found), found) in members
    if kind is ComparisonOperator.BETWEEN:
        least: Any
        most: Any
        least, most = map(_comparable, value)
        return lambda found: type(found) is type(least) is type(most) and least <= found <= most
    if kind is ComparisonOperator.CONTAINS:
        return lambda found: isinstance(found, tuple) and value in found
    wanted, compare = _comparable(value), _COMPARE[kind]
    return lambda found: type(found) is type(wanted) and compare(found, wanted)


_COMPARABLE = (str, bool, Decimal, tuple)


def _comparable(value: Any) -> str | bool | Decimal | tuple[str, ...]:
    """Convert numbers to Decimal, so that the float 10.1 of a document equals the decimal 10.1 of an event."""
    if isinstance(value, _COMPARABLE):
        return value
    return Decimal(repr(value) if isinstance(value, float) else value)
