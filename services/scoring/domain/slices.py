"""Which answers a figure is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from services.scoring.domain.periods import Days
from services.scoring.domain.score import Definition

ALL = ("all", "")


@dataclass(frozen=True, slots=True)
class Slice:
    """None is no limit, days are inclusive; `segment` is one value of one dimension."""

    program: str | None = None
    first: date | None = None
    last: date | None = None
    segment: tuple[str, str] | None = None
    definition: Definition = Definition.EVERY_ANSWER

    def kept_as(self, dimensions: Sequence[str]) -> tuple[str, str | None] | None:
        """Name the dimension, and its one value if only one is wanted, that is kept per day; None for a crossing."""
        if len(dimensions) > 1:
            return None
        dimension = dimensions[0] if dimensions else "all"
        if self.segment is None:
            return dimension, None
        return self.segment if dimension == "all" else None

    @property
    def days(self) -> tuple[Any, ...]:
        return self.program, self.first, self.last

    def during(self, days: Days) -> Slice:
        """Take the same answers of other days."""
        return replace(self, first=days.first, last=days.last)


def split_segment(segment: str | None) -> tuple[str, str] | None:
    dimension, _, value = (segment or "").partition(":")
    return (dimension, value) if segment else None
