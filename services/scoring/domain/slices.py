"""Slices: which answers a figure counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from services.scoring.domain.periods import Days
from services.scoring.domain.score import Definition
from services.scoring.domain.stores.names import STORE, StoreNames

ALL = ("all", "")


@dataclass(frozen=True, slots=True)
class Slice:
    """Which answers count. None is no limit, days are inclusive; `segment` is a dimension and its value.

    `stores` says which stored values are one store: queries ask for all of them, and their results are summed up.
    `within` are the stored values of the stores that the reader sees.
    """

    program: str | None = None
    first: date | None = None
    last: date | None = None
    segment: tuple[str, str] | None = None
    definition: Definition = Definition.EVERY_ANSWER
    stores: StoreNames = field(kw_only=True)
    within: frozenset[str] | None = field(default=None, kw_only=True)

    def kept_as(self, dimensions: Sequence[str]) -> tuple[str, Sequence[str] | None] | None:
        """Return the dimension and values whose buckets sum up to this slice split by `dimensions`; None for all.

        Returns None when no buckets do: for two dimensions, or a dimension within a segment.
        """
        if len(dimensions) > 1:
            return None
        dimension = dimensions[0] if dimensions else "all"
        if self.is_whole:
            return dimension, None
        if self.segment is None and dimension == STORE:
            return self.counted_as
        return self.counted_as if dimension == "all" else None

    @property
    def dimension(self) -> str | None:
        """The dimension of the segment."""
        return self.segment[0] if self.segment else None

    @property
    def is_whole(self) -> bool:
        """Whether the slice has all answers of its program and days."""
        return self.segment is None and self.within is None

    @property
    def counted_as(self) -> tuple[str, Sequence[str]] | None:
        """The dimension and the stored values whose counters sum up to the slice.

        None where no counters do: for a segment of another dimension than the store for who sees only some stores.
        """
        if self.within is None:
            dimension, value = self.segment or ALL
            return dimension, self.stores.stored(dimension, value)
        dimension, value = self.segment or (STORE, "")
        if dimension != STORE:
            return None
        wanted = self.stores.stored(dimension, value) if self.segment else self.within
        return STORE, sorted(self.within.intersection(wanted))

    @property
    def shown_segment(self) -> tuple[str, str] | None:
        """The segment with the value that figures show for it: the name of the store for one of its spellings."""
        return self.segment and (self.segment[0], self.stores.shown(*self.segment))

    def shown(self, dimensions: Sequence[str], values: Sequence[str]) -> tuple[str, ...]:
        """Return what figures show for stored values of these dimensions."""
        return tuple(map(self.stores.shown, dimensions, values))

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
