"""Respondents: one row each, locked before anything about them is read or published."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.respondents import Respondent
from shared import db
from shared.events import Consent

_COLUMNS = """id, customer_id, name, email, phone, locale, time_zone, consent, attributes, purchases,
known_at, last_asked_at, last_answered_at, last_category, erased_at"""

_MAKE = "INSERT INTO respondents (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"

_LOCK = f"SELECT {_COLUMNS} FROM respondents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"  # noqa: S608 - constants of this file

_SAVE = f"""UPDATE respondents SET customer_id = new.customer_id, name = new.name, email = new.email,
phone = new.phone, locale = new.locale, time_zone = new.time_zone, consent = new.consent,
attributes = new.attributes, purchases = new.purchases, known_at = new.known_at,
last_asked_at = new.last_asked_at, last_answered_at = new.last_answered_at, last_category = new.last_category,
erased_at = new.erased_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
$9::jsonb[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::timestamptz[])
AS new ({_COLUMNS}) WHERE respondents.id = new.id"""  # noqa: S608 - constants of this file

_ANSWERED = """UPDATE respondents SET last_category = new.category, last_answered_at = new.answered_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS new (id, category, answered_at)
WHERE respondents.id = new.id AND (last_answered_at IS NULL OR last_answered_at <= new.answered_at)"""


async def make_missing(session: AsyncSession, ids: Collection[str]) -> None:
    await db.fetch(session, _MAKE, sorted(ids))


async def lock(session: AsyncSession, ids: Collection[str]) -> dict[str, Respondent]:
    """Lock those who are there, in sorted order so that two batches cannot wait for each other."""
    return {row["id"]: _respondent(row) for row in await db.fetch(session, _LOCK, sorted(ids))}


async def save(session: AsyncSession, respondents: Sequence[Respondent]) -> None:
    rows = [
        (
            r.id,
            r.customer_id,
            r.name,
            r.email,
            r.phone,
            r.locale,
            r.time_zone,
            r.consent.model_dump_json(exclude_none=True),
            json.dumps(dict(r.attributes)),
            r.purchases,
            r.known_at,
            r.last_asked_at,
            r.last_answered_at,
            r.last_category,
            r.erased_at,
        )
        for r in respondents
    ]
    if rows:
        await db.fetch(session, _SAVE, *zip(*rows, strict=True))


async def note_answers(session: AsyncSession, latest: Mapping[str, tuple[str, datetime]]) -> None:
    """Keep (category, answered_at) of each respondent's newest answer."""
    if latest:
        columns = zip(*((id_, category, at) for id_, (category, at) in latest.items()), strict=True)
        await db.fetch(session, _ANSWERED, *columns)


def _respondent(row: asyncpg.Record) -> Respondent:
    return Respondent(**{**row, "consent": Consent(**row["consent"])})
