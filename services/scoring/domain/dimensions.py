"""What a score is kept for: every segment of the request, and what is known of the answer itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from services.scoring.domain.invitations import Answer

# our own names; a segment called like one of them is kept with the answer and not counted
OWN_DIMENSIONS = frozenset({"all", "mode", "step", "version", "reason", "answering_device"})
OTHER = "(other)"
MOST_VALUES = 2000  # of one dimension of one program; what comes later counts as OTHER

Counted = Mapping[str, str]


class BucketKey(NamedTuple):
    """A bucket: one value of one dimension of one program on one day."""

    program: str
    dimension: str
    value: str
    day: date


class DimensionValue(NamedTuple):
    program: str
    dimension: str
    value: str


def segment_values(program: str, segments: Mapping[str, str]) -> list[DimensionValue]:
    """Name what these segments would be counted as."""
    return [
        DimensionValue(program, name, value) for name, value in segments.items() if name not in OWN_DIMENSIONS and value
    ]


def admitted(
    values: Iterable[DimensionValue], *, known: set[DimensionValue], sizes: Mapping[tuple[str, str], int]
) -> set[DimensionValue]:
    """Say which unknown values still find room; `sizes` is how many values each (program, dimension) has."""
    room = dict(sizes)
    new: set[DimensionValue] = set()
    for value in sorted(set(values) - known):
        size = room.get(value[:2], 0)
        if size < MOST_VALUES:
            new.add(value)
            room[value[:2]] = size + 1
    return new


def counted_dimensions(
    program: str, segments: Mapping[str, str], *, version: int, known: set[DimensionValue]
) -> dict[str, str]:
    """Say under which value of each dimension an invitation is counted, for ever."""
    of = {each.dimension: each.value if each in known else OTHER for each in segment_values(program, segments)}
    return {**of, "version": str(version)}


def invited_keys(program: str, dimensions: Counted, day: date) -> list[BucketKey]:
    """Name every series an invitation counts in."""
    return [BucketKey(program, "all", "", day)] + [
        BucketKey(program, name, value, day) for name, value in dimensions.items()
    ]


def answer_keys(program: str, dimensions: Counted, answer: Answer) -> list[BucketKey]:
    """Name every series an answer counts in; one per reason it names."""
    day = answer.first_day
    own = [("mode", answer.mode.value), ("step", str(answer.step)), ("answering_device", answer.device or "")]
    reasons = [("reason", reason) for reason in answer.reasons]
    return [
        *invited_keys(program, dimensions, day),
        *(BucketKey(program, name, value, day) for name, value in [*own, *reasons] if value),
    ]
