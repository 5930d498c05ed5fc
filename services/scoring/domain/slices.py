"""Slices: which answers a figure counts."""

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
    """Which answers count. None is no limit, days are inclusive; `segment` is a dimension and its value."""

    program: str | None = None
    first: date | None = None
    last: date | None = None
    segment: tuple[str, str] | None = None
    definition: Definition = Definition.EVERY_ANSWER

    def kept_as(self, dimensions: Sequence[str]) -> tuple[str, str | None] | None:
        """Return the dimension and value whose buckets sum up to this slice split by `dimensions`; value None for all.

        Returns None when no buckets do: for two dimensions, or a dimension within a segment.
        """
        if len(dimensions) > 1:
            return None
        dimension = dimensions[0] if dimensions else "all"
        if self.segment is None:
            return dimension, None
        return self.segment if dimension == "all" else None

    @property
    def days(self) -> tuple[Any, ...]:
        """Program, first and last day: the first three arguments of the SQL statements about a slice."""
        return self.program, self.first, self.last

    def during(self, days: Days) -> Slice:
        """Return the same slice of other days."""
        return replace(self, first=days.first, last=days.last)


def split_segment(segment: str | None) -> tuple[str, str] | None:
    """Parse `store:Arbat` into dimension and value; None for no segment."""
    dimension, _, value = (segment or "").partition(":")
    return (dimension, value) if segment else None
