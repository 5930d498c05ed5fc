"""Splits a document into a shape, which many rows have in common, and the values that only one row has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

_PLACE = "$"  # {"$": 2} in a shape stands for the third value


class Split(NamedTuple):
    shape: Any
    values: list[Any]


def split(document: Any, *, own: Collection[str]) -> Split:
    """Replace the value of every field named in `own`, at any depth, by its place among the values."""
    values: list[Any] = []
    return Split(_shape(document, own, values), values)


def joined(shape: Any, values: Sequence[Any]) -> Any:
    """Return the document that was split."""
    if isinstance(shape, Mapping):
        if shape.keys() == {_PLACE} and isinstance(shape[_PLACE], int):
            return values[shape[_PLACE]]
        return {name: joined(part, values) for name, part in shape.items()}
    if isinstance(shape, list):
        return [joined(part, values) for part in shape]
    return shape


def _shape(part: Any, own: Collection[str], values: list[Any]) -> Any:
    if isinstance(part, dict):
        return {
            name: _place(value, values) if name in own else _shape(value, own, values) for name, value in part.items()
        }
    if isinstance(part, list):
        return [_shape(each, own, values) for each in part]
    return part


def _place(value: Any, values: list[Any]) -> dict[str, int]:
    values.append(value)
    return {_PLACE: len(values) - 1}
