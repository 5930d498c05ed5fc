"""The fields of a store as texts, as forms and files have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from services.scoring.domain.stores.hours import InvalidHours, hours_text, parse_hours
from services.scoring.domain.stores.store import InvalidStore, Store, checked
from shared.languages.current import gettext
from shared.tables.values import Unreadable, moment_of

_SEVERAL = ("spellings", "review_links")


def store_of(texts: Mapping[str, str], *, base: Store | None = None) -> Store:
    """Read a store; fields without a text are those of `base`. Raises InvalidStore."""
    values = {name: _value(name, text.strip()) for name, text in texts.items()}
    return checked(replace(base or Store("", ""), **values))


def _value(name: str, text: str) -> Any:
    try:
        if name in _SEVERAL:
            return lines_of(text)
        if name == "hours":
            return parse_hours(text)
        if name == "closed_since":
            return _day(text)
    except InvalidHours as error:
        raise InvalidStore(name, str(error)) from None
    return text


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        found = moment_of(text)
    except Unreadable:
        raise InvalidStore("closed_since", gettext("expected a day, such as 2026-12-31 or 31.12.2026")) from None
    return found.date() if isinstance(found, datetime) else found


def lines_of(text: str) -> tuple[str, ...]:
    """Split a list that has each item on a line of its own, or semicolons between them."""
    lines = [each for line in text.splitlines() if (each := line.strip())]
    return tuple(lines if len(lines) > 1 else text.split(";"))


def texts_of(store: Store) -> dict[str, str]:
    """Write the fields as `store_of` reads them."""
    return {
        "code": store.code,
        "name": store.name,
        "spellings": _list(store.spellings),
        "region": store.region or "",
        "time_zone": store.time_zone or "",
        "hours": hours_text(store.hours),
        "manager": store.manager or "",
        "deputy": store.deputy or "",
        "review_links": _list(store.review_links),
        "closed_since": store.closed_since.isoformat() if store.closed_since else "",
    }


def _list(items: tuple[str, ...]) -> str:
    """Write each item on a line; a single one with a semicolon twice, so that it is not split."""
    return "\n".join(items * 2 if len(items) == 1 and ";" in items[0] else items)
