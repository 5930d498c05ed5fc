"""What a score is kept for: every segment of the request, and what is known of the answer itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from services.scoring.domain.invitations import Answer

# our own names; a segment called like one of them is kept with the answer and not counted
OWN = frozenset({"all", "mode", "step", "version", "reason", "answering_device"})
OTHER = "(other)"
MOST_VALUES = 2000  # of one dimension of one program; what comes later counts as OTHER

Counted = Mapping[str, str]


class Key(NamedTuple):
    """A bucket: one value of one dimension of one program on one day."""

    program: str
    dimension: str
    value: str
    day: date


class Value(NamedTuple):
    program: str
    dimension: str
    value: str


def wanted(program: str, segments: Mapping[str, str]) -> list[Value]:
    """Name what these segments would be counted as."""
    return [Value(program, name, value) for name, value in segments.items() if name not in OWN and value]


def admitted(wanted: Iterable[Value], *, known: set[Value], sizes: Mapping[tuple[str, str], int]) -> set[Value]:
    """Say which unknown values still find room; `sizes` is how many values each (program, dimension) has."""
    room = dict(sizes)
    new: set[Value] = set()
    for value in sorted(set(wanted) - known):
        size = room.get(value[:2], 0)
        if size < MOST_VALUES:
            new.add(value)
            room[value[:2]] = size + 1
    return new


def counted(program: str, segments: Mapping[str, str], *, version: int, known: set[Value]) -> dict[str, str]:
    """Say under which value of each dimension an invitation is counted, for ever."""
    of = {each.dimension: each.value if each in known else OTHER for each in wanted(program, segments)}
    return {**of, "version": str(version)}


def invited_keys(program: str, dimensions: Counted, day: date) -> list[Key]:
    """Name every series an invitation counts in."""
    return [Key(program, "all", "", day)] + [Key(program, name, value, day) for name, value in dimensions.items()]


def answer_keys(program: str, dimensions: Counted, answer: Answer) -> list[Key]:
    """Name every series an answer counts in; one per reason it names."""
    day = answer.first_day
    own = [("mode", answer.mode.value), ("step", str(answer.step)), ("answering_device", answer.device or "")]
    reasons = [("reason", reason) for reason in answer.reasons]
    return [
        *invited_keys(program, dimensions, day),
        *(Key(program, name, value, day) for name, value in [*own, *reasons] if value),
    ]
