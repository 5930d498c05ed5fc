"""Segments that scores are reported by: the values of a field, or ranges of a number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.trigger.domain.programs.event_fields import TOUCHPOINT_FIELDS, Fields, FieldValue, known_field
from shared.contract.events import Id
from shared.contract.vocabulary import EMPLOYEE, EMPLOYEE_CODE

EMPLOYEE_FIELD = f"touchpoint.{EMPLOYEE}"
_TO = "\N{EN DASH}"


class Segment(BaseModel):
    """`store` alone is short for the field `touchpoint.store`; `ranges` are the lower bounds of the ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Id
    field: Annotated[str, AfterValidator(known_field)]
    ranges: Annotated[list[int | float], Field(min_length=1, max_length=50)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given, "field": given if "." in given else f"touchpoint.{given}"}
        return given

    @model_validator(mode="after")
    def _rising_ranges(self) -> Self:
        if self.ranges and self.ranges != sorted(set(self.ranges)):
            raise ValueError("ranges: expected rising numbers, such as [18, 25, 35, 50]")
        return self

    def value(self, fields: Fields) -> str | None:
        found = fields.get(self.field)
        if found is None:
            return None
        if self.ranges is None:
            return _plain(found)
        if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
            return None
        return _range(self.ranges, float(found))


def default_segments() -> list[Segment]:
    """Return the segments of a program that names none; figures per employee are never a default."""
    return [Segment.model_validate(name) for name in TOUCHPOINT_FIELDS if name != EMPLOYEE]


def segments_of(segments: Sequence[Segment], fields: Fields) -> dict[str, str]:
    return {each.name: value for each in segments if (value := each.value(fields)) is not None}


def reported_segments(segments: Sequence[Segment], values: Mapping[str, str]) -> dict[str, str]:
    """Return the segments to report: the employee under one name in all programs, and only by a code, not by a name."""
    employees = [each.name for each in segments if each.field == EMPLOYEE_FIELD]
    if not employees:
        return dict(values)
    reported = {name: value for name, value in values.items() if name not in employees}
    codes = [code for name in employees if EMPLOYEE_CODE.fullmatch(code := values.get(name, ""))]
    return {**reported, EMPLOYEE: codes[0]} if codes else reported


def _plain(found: FieldValue) -> str | None:
    if isinstance(found, tuple):
        return None
    text = str(found).lower() if isinstance(found, bool) else str(found).strip()
    return text[:200] or None


def _range(edges: Sequence[float], number: float) -> str:
    place = bisect_right(edges, number)
    if place == 0:
        return f"<{edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g}+"
    low, high = edges[place - 1], edges[place]
    if all(isinstance(edge, int) for edge in edges):
        return f"{low}{_TO}{high - 1}" if high - low > 1 else str(low)
    return f"{low:g}{_TO}<{high:g}"
