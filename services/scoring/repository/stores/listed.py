"""The list of stores, and which names that events use it lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from services.scoring.domain.dimensions import OTHER
from services.scoring.domain.stores.hours import WEEKDAYS, day_text, parse_day
from services.scoring.domain.stores.names import STORE, StoreNames
from services.scoring.domain.stores.store import Store
from shared.database import db
from shared.database.session import Session

_PLAIN = ("code", "name", "region", "time_zone", "manager", "deputy", "closed_since")
_LOCK = db.lock_number("scoring", "stores")
_READ = """SELECT s.*, ARRAY(SELECT n.name FROM store_names n WHERE n.code = s.code AND n.name NOT IN (s.code, s.name)
ORDER BY n.name COLLATE "C") AS spellings FROM stores s"""
_NAMES = "SELECT n.name, s.name AS store FROM store_names n JOIN stores s USING (code)"
_ROWS = """jsonb_to_recordset($1::jsonb) AS s (code text, name text, region text, time_zone text, hours jsonb,
manager text, deputy text, review_links jsonb, closed_since date)"""
_COLUMNS = ("region", "time_zone", "hours", "manager", "deputy", "review_links", "closed_since")
_PUT = f"""INSERT INTO stores (code, name, {", ".join(_COLUMNS)})
SELECT s.code, s.name, {", ".join(f"s.{name}" for name in _COLUMNS)} FROM {_ROWS}
ON CONFLICT (code) DO UPDATE SET name = excluded.name, {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}"""  # noqa: S608 - column names only
_FORGET_NAMES = "DELETE FROM store_names WHERE code = ANY($1::text[])"
_ADD_NAMES = "INSERT INTO store_names (name, code) SELECT * FROM unnest($1::text[], $2::text[])"
_UNLISTED = """SELECT DISTINCT value FROM dimension_values v WHERE dimension = $1 AND value <> $2
AND NOT EXISTS (SELECT FROM store_names n WHERE n.name = v.value) ORDER BY value"""


async def lock(session: Session) -> None:
    """Let nobody else change the list until the transaction ends."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", _LOCK)


async def read(session: Session) -> dict[str, Store]:
    """Read all stores by code, sorted by name."""
    rows = await db.fetch(session, _READ)
    return {row["code"]: _store(row) for row in sorted(rows, key=lambda row: (row["name"].casefold(), row["code"]))}


def _store(row: db.Row) -> Store:
    hours: Mapping[str, str] = row["hours"]
    return Store(
        **{name: row[name] for name in _PLAIN},
        spellings=tuple(row["spellings"]),
        hours={day: parse_day(hours[day]) for day in WEEKDAYS if day in hours},
        review_links=tuple(row["review_links"]),
    )


async def names(session: Session) -> StoreNames:
    """Read what every store is called in events."""
    return StoreNames({row["name"]: row["store"] for row in await db.fetch(session, _NAMES)})


async def put(session: Session, stores: Sequence[Store]) -> None:
    """Add stores or replace those with the same codes; no two stores of the list may share a name."""
    codes = [store.code for store in stores]
    named = [(name, store.code) for store in stores for name in sorted(store.names)]
    await db.fetch(session, _PUT, json.dumps([_row(store) for store in stores]))
    await db.fetch(session, _FORGET_NAMES, codes)
    await db.fetch(session, _ADD_NAMES, [name for name, _ in named], [code for _, code in named])


def _row(store: Store) -> dict[str, Any]:
    return {
        **{name: getattr(store, name) for name in _PLAIN},
        "hours": {day: day_text(openings) for day, openings in store.hours.items()},
        "review_links": store.review_links,
        "closed_since": store.closed_since and store.closed_since.isoformat(),
    }


async def remove(session: Session, code: str) -> None:
    """Delete a store with its names; what was counted under them stays."""
    await db.fetch(session, "DELETE FROM stores WHERE code = $1", code)


async def unlisted(session: Session) -> list[str]:
    """Read the names of stores in events that belong to no store of the list."""
    return [row["value"] for row in await db.fetch(session, _UNLISTED, STORE, OTHER)]
