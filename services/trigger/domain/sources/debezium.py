"""Debezium's change events: with and without their schema, as an envelope or flattened to a row."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from services.trigger.domain.sources.mapping_rules import Unmappable

UNAVAILABLE = "__debezium_unavailable_value"  # stands for a large value that an update did not change
_UNAVAILABLE = frozenset({UNAVAILABLE, base64.b64encode(UNAVAILABLE.encode()).decode()})
_WRAPPED = (*([text] for text in _UNAVAILABLE), {UNAVAILABLE: UNAVAILABLE})  # lists and maps of a column


def change_event(given: Any) -> dict[str, Any] | None:
    """Return a change event as `op`, `before` and `after`; None for what changes no row, such as a tombstone.

    A flattened row becomes `after`, or `before` if it was deleted. A value that Debezium did not send is absent.
    """
    if given is None:
        return None
    envelope = _object(given)
    inner = envelope.get("payload", envelope) if "schema" in envelope else envelope
    if inner is None:
        return None
    if isinstance(inner, dict) and "op" not in inner and ("__op" in inner or "__deleted" in inner):
        inner = _from_row(inner)
    if not isinstance(inner, dict) or "op" not in inner:
        raise Unmappable("op", "not a Debezium change event")
    added = {name: value for name, value in envelope.items() if name.startswith("$")}
    return {**added, **inner, "before": _known(_row(inner.get("before"))), "after": _known(_row(inner.get("after")))}


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Unmappable("body", "expected an object")
    return given


def _from_row(row: dict[str, Any]) -> dict[str, Any]:
    """Turn a row of ExtractNewRecordState, with `__op` or `__deleted`, into a change event."""
    deleted = row.get("__op") == "d" or row.get("__deleted") in ("true", True)
    op = "d" if deleted else row.get("__op") or "u"
    return {**row, "op": op, "before": row if deleted else None, "after": None if deleted else row}


def _row(given: Any) -> Any:
    """Decode a document of MongoDB, which is JSON in a text."""
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return given


def _known(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    unavailable = [
        name
        for name, value in row.items()
        if (value in _UNAVAILABLE if type(value) is str else type(value) in (list, dict) and value in _WRAPPED)
    ]
    return {**row, **dict.fromkeys(unavailable)} if unavailable else row
