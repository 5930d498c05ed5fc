"""Splits a document into a shape, which many rows have in common, and the values that only one row has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

_PLACE = "$"  # {"$": 2} in a shape stands for the third value
_NESTED = (dict, list)


class Split(NamedTuple):
    shape: Any
    values: list[Any]


def split(document: Mapping[str, Any], *, own: Collection[str], without: Collection[str] = ()) -> Split:
    """Replace the value of every field named in `own`, at any depth, by its place among the values.

    Fields named in `without` are left out.
    """
    values: list[Any] = []
    return Split(_shape(document, own, without, values), values)


def joined(shape: Any, values: Sequence[Any]) -> Any:
    """Return the document that was split."""
    if isinstance(shape, Mapping):
        if shape.keys() == {_PLACE} and isinstance(shape[_PLACE], int):
            return values[shape[_PLACE]]
        return {name: joined(part, values) for name, part in shape.items()}
    if isinstance(shape, list):
        return [joined(part, values) for part in shape]
    return shape


def _shape(
    part: Mapping[str, Any] | list[Any], own: Collection[str], without: Collection[str], values: list[Any]
) -> Any:
    if isinstance(part, list):
        return [_shape(each, own, without, values) if type(each) in _NESTED else each for each in part]
    shape = dict(part)  # most values are plain, and copying each by itself would cost more than everything else
    for name, value in part.items():
        if name in own:
            shape[name] = {_PLACE: len(values)}
            values.append(value)
        elif name in without:
            del shape[name]
        elif type(value) in _NESTED:
            shape[name] = _shape(value, own, without, values)
    return shape
