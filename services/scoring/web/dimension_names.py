"""Names of dimensions and segments for pages."""

from __future__ import annotations

from shared.languages.current import gettext
from shared.languages.marking import mark

_DIMENSION_NAMES = {
    "answering_device": mark("device of the answer"),
    "version": mark("program version"),
    "mode": mark("who typed it"),
    "store": mark("store"),
    "region": mark("region"),
    "channel": mark("channel"),
    "employee": mark("employee"),
    "age": mark("age"),
    "device": mark("device"),
    "stage": mark("stage"),
    "step": mark("step"),
}


def dimension_name(dimension: str) -> str:
    """Return the words for a dimension that Earshot knows, and the name of any other as a program gives it."""
    return gettext(_DIMENSION_NAMES[dimension]) if dimension in _DIMENSION_NAMES else dimension.replace("_", " ")
