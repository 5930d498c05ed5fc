"""Respondents: the row of each is locked before anything about them is decided or published."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.respondents import Respondent
from services.trigger.domain.sampling import spread_of
from services.trigger.repository import new_rows
from shared.contract.events import Consent
from shared.database import db

_JSON = msgspec.json.Encoder()

_COLUMNS = (
    "id, customer_id, name, email, phone, locale, time_zone, consent, attributes, purchases, first_purchase_at, "
    "last_purchase_at, known_at, last_answered_at, last_category, last_score, moments, erased_at, cleared, "
    "address_source"
)

_SELECTED = f"{_COLUMNS.replace('moments', 'moments AS last_contacts')}, has_older_id"

_LOCK = f"SELECT {_SELECTED} FROM respondents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"  # noqa: S608 - constants of this file

_SAVE = f"""UPDATE respondents SET customer_id = new.customer_id, name = new.name, email = new.email,
phone = new.phone, locale = new.locale, time_zone = new.time_zone, consent = new.consent,
attributes = new.attributes, purchases = new.purchases, first_purchase_at = new.first_purchase_at,
last_purchase_at = new.last_purchase_at, known_at = new.known_at, last_answered_at = new.last_answered_at,
last_category = new.last_category, last_score = new.last_score, moments = new.moments, erased_at = new.erased_at,
cleared = new.cleared, address_source = new.address_source
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
$9::jsonb[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[],
$16::int[], $17::jsonb[], $18::timestamptz[], $19::jsonb[], $20::text[])
AS new ({_COLUMNS}) WHERE respondents.id = new.id"""  # noqa: S608 - constants of this file

_GUESTS = "SELECT id FROM respondents WHERE id LIKE '%guest-%' AND right(id, 32) = ANY($1::text[]) ORDER BY id"


async def lock(session: AsyncSession, ids: Collection[str]) -> dict[str, Respondent]:
    """Lock and load the respondents that have rows, in one order in every transaction, to avoid deadlocks."""
    return {row["id"]: _respondent(row) for row in await db.fetch(session, _LOCK, sorted(ids))}


async def guests(session: AsyncSession, pseudonyms: Sequence[str]) -> list[str]:
    """Return the ids of the respondents, of any namespace, with one of these pseudonyms."""
    return [row["id"] for row in await db.fetch(session, _GUESTS, list(pseudonyms))]


async def load_all(session: AsyncSession) -> list[Respondent]:
    rows = await db.fetch(session, f"SELECT {_SELECTED} FROM respondents")  # noqa: S608 - constants of this file
    return [_respondent(row) for row in rows]


async def add(session: AsyncSession, respondents: Sequence[Respondent]) -> None:
    """Insert new respondents; raises Raced."""
    in_order = sorted(respondents, key=lambda respondent: respondent.id)  # avoids deadlocks
    rows = [(*row, spread_of(row[0]), False) for row in _rows(in_order)]
    await new_rows.add(session, "respondents", (*_COLUMNS.split(", "), "spread", "has_older_id"), rows)


async def save(session: AsyncSession, respondents: Sequence[Respondent]) -> None:
    if respondents:
        await db.fetch(session, _SAVE, *zip(*_rows(respondents), strict=True))


def _rows(respondents: Sequence[Respondent]) -> list[tuple[Any, ...]]:
    return [
        (
            r.id,
            r.customer_id,
            r.name,
            r.email,
            r.phone,
            r.locale,
            r.time_zone,
            _JSON.encode({channel: known for channel, known in vars(r.consent).items() if known is not None}).decode(),
            _JSON.encode(r.attributes).decode(),
            r.purchases,
            r.first_purchase_at,
            r.last_purchase_at,
            r.known_at,
            r.last_answered_at,
            r.last_category,
            r.last_score,
            _JSON.encode(r.last_contacts).decode(),
            r.erased_at,
            _JSON.encode(r.cleared).decode() if r.cleared else None,
            r.address_source,
        )
        for r in respondents
    ]


def _respondent(row: asyncpg.Record) -> Respondent:
    last_contacts = {
        cause: {program: datetime.fromisoformat(at) for program, at in by_program.items()}
        for cause, by_program in row["last_contacts"].items()
    }
    cleared = {name: datetime.fromisoformat(at) for name, at in (row["cleared"] or {}).items()}
    consent = Consent(**row["consent"])
    return Respondent(**{**row, "consent": consent, "last_contacts": last_contacts, "cleared": cleared})
