"""Dimensions that answers are counted by: every segment of the survey request, and properties of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from services.scoring.domain.invitations import Answer
from shared.contract.vocabulary import EMPLOYEE, AnswerMode, ChannelKind

# reserved names: a segment with one of these names is stored with the invitation, but not counted
OWN_DIMENSIONS = frozenset({"all", "mode", "step", "version", "reason", "answering_device"})
_WITHOUT_EMPLOYEES = OWN_DIMENSIONS | {EMPLOYEE}
OTHER = "(other)"
MOST_VALUES = 2000  # per dimension of a program; further values are counted as OTHER


class BucketKey(NamedTuple):
    """Identifies a bucket: one value of one dimension of one program on one day."""

    program: str
    dimension: str
    value: str
    day: date


class DimensionValue(NamedTuple):
    program: str
    dimension: str
    value: str


def segment_values(program: str, segments: Mapping[str, str], *, employees: bool = False) -> list[DimensionValue]:
    """Return the values of segments as dimensions, without reserved names and empty values; employees only if asked."""
    left_out = OWN_DIMENSIONS if employees else _WITHOUT_EMPLOYEES
    return [DimensionValue(program, name, value) for name, value in segments.items() if name not in left_out and value]


def admitted(
    values: Iterable[DimensionValue], *, known: set[DimensionValue], sizes: Mapping[tuple[str, str], int]
) -> set[DimensionValue]:
    """Return the unknown values that fit under MOST_VALUES; `sizes` counts the values of each (program, dimension)."""
    counts = dict(sizes)
    new: set[DimensionValue] = set()
    for value in sorted(set(values) - known):
        size = counts.get(value[:2], 0)
        if size < MOST_VALUES:
            new.add(value)
            counts[value[:2]] = size + 1
    return new


def counted_dimensions(
    program: str, segments: Mapping[str, str], *, version: int, known: set[DimensionValue], employees: bool = False
) -> dict[str, str]:
    """Return the value an invitation is counted under, by dimension; OTHER for a value that is not `known`.

    It is stored with the invitation, so that answers are counted and uncounted under the same values.
    """
    values = segment_values(program, segments, employees=employees)
    counted = {each.dimension: each.value if each in known else OTHER for each in values}
    return {**counted, "version": str(version)}


def invited_keys(program: str, dimensions: Mapping[str, str], day: date) -> list[BucketKey]:
    """Return the key of every bucket an invitation counts in."""
    return [BucketKey(program, "all", "", day)] + [
        BucketKey(program, name, value, day) for name, value in dimensions.items()
    ]


def mode_value(answer: Answer) -> str:
    """Return the value of the dimension `mode`: `link` for what respondents typed after a link the shop showed."""
    shown = answer.mode is AnswerMode.SELF and answer.channel is ChannelKind.LINK
    return ChannelKind.LINK.value if shown else answer.mode.value


def answer_keys(program: str, dimensions: Mapping[str, str], answer: Answer) -> list[BucketKey]:
    """Return the key of every bucket an answer counts in; every reason of the answer has a bucket of its own."""
    day = answer.first_day
    own = [("mode", mode_value(answer)), ("step", str(answer.step)), ("answering_device", answer.device or "")]
    reasons = [("reason", reason) for reason in answer.reasons]
    return [
        *invited_keys(program, dimensions, day),
        *(BucketKey(program, name, value, day) for name, value in [*own, *reasons] if value),
    ]
