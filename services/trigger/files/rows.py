"""Turns a row of a table into an event: its columns have the names of fields, such as `time` and `customer.email`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from shared.tables.layout import TableOptions
from shared.tables.values import ROUNDED, DecimalPoint, Unreadable, decimal_of, is_rounded, moment_of, yes_or_no

_ATTRIBUTES = ("id", "type", "time", "source", "subject")
_PARTS = ("customer.", "order.", "service.", "touchpoint.", "attributes.")
_CONSENT = "customer.consent."
_AMOUNT = "order.amount"
_IDS = ("id", "customer.id", "order.id", "service.id")


class RefusedEventRow(ValueError):
    """A row is no event; the text says why and quotes no value."""


def event_of(
    cells: Mapping[str, str], *, source: str, options: TableOptions, decimals: DecimalPoint = "."
) -> dict[str, Any]:
    """Build a CloudEvent from a row; the default `type` is a purchase, the default `id` the type and order or service.

    Times, amounts and consent are read as people write them; what cannot be read stays as it is. Raises RefusedEventRow
    for an id that a spreadsheet rounded.
    """
    for name in _IDS:
        if is_rounded(cells.get(name) or ""):
            raise RefusedEventRow(f"{name}: {ROUNDED}")
    type_ = cells.get("type") or "crm.purchase.completed"
    ref = cells.get("order.id") or cells.get("service.id") or cells.get("customer.id")
    event: dict[str, Any] = {"specversion": "1.0", "id": f"{type_}:{ref}", "source": source, "type": type_}
    event |= {name: cells[name] for name in _ATTRIBUTES if name in cells}
    if "time" in cells:
        event["time"] = _time(cells["time"], options)
    fields = {name: value for name, value in cells.items() if name not in _ATTRIBUTES}
    return event | {"data": _nested({name: _value(name, text, options, decimals) for name, text in fields.items()})}


def is_field(name: str) -> bool:
    """Whether a column has the name of a field of an event."""
    return name in (*_ATTRIBUTES, "reason") or name.startswith(_PARTS)


def _time(text: str, options: TableOptions) -> str:
    try:
        moment = moment_of(text, zone=options.zone, order=options.dates)
    except Unreadable:
        return text  # refused by the contract, which says what it expects
    if isinstance(moment, datetime):
        return moment.isoformat()
    return text if options.zone is None else datetime.combine(moment, time(12), options.zone).isoformat()


def _value(name: str, text: str, options: TableOptions, decimals: DecimalPoint) -> str | bool | list[str]:
    try:
        if name == _AMOUNT:
            return str(decimal_of(text, point=decimals))
        return _consent(name.removeprefix(_CONSENT), text, options) if name.startswith(_CONSENT) else text
    except Unreadable:
        return text


def _consent(name: str, text: str, options: TableOptions) -> str | bool | list[str]:
    """Read a consent, such as `email`, or a field of its record, such as `email.at`."""
    match name.partition(".")[2]:
        case "" | "given":
            return yes_or_no(text)
        case "at":
            return _time(text, options)
        case "purposes":
            return re.findall(r"[^\s,;]+", text)
    return text


def _nested(cells: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in cells.items():
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        else:
            place[last] = value
    return nested
