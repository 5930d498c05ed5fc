"""Finds customers by what people know of them, and reads what is stored about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from services.trigger.domain.touchpoints import searched_number
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.session import Session

MOST_FOUND = 50

_WITH_ADDRESSES = f"""SELECT id FROM respondents
WHERE lower(email) = ANY($1::text[]) OR phone = ANY($2::text[]) ORDER BY id LIMIT {MOST_FOUND}"""  # noqa: S608 - a number
_OF_ORDER = f"""SELECT DISTINCT respondent_id FROM touchpoints
WHERE ref = ANY($1::text[]) OR number = $2 LIMIT {MOST_FOUND}"""  # noqa: S608 - a number
_STORE_ERASURES = """INSERT INTO erasures (respondent_id, service, at, places)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::jsonb[])
ON CONFLICT (respondent_id, service) DO UPDATE SET at = excluded.at, places = excluded.places"""
_ERASURES = """SELECT respondent_id, service, at, places FROM erasures
WHERE respondent_id = ANY($1::text[]) ORDER BY respondent_id, service"""


async def with_addresses(session: Session, *, emails: Collection[str], phones: Collection[str]) -> list[str]:
    """Return the ids of respondents who have one of these addresses, in E.164 and in any case."""
    folded = sorted({email.lower() for email in emails})
    rows = await db.fetch(session, _WITH_ADDRESSES, folded, sorted(phones)) if folded or phones else []
    return [row["id"] for row in rows]


async def of_order(session: Session, typed: str) -> list[str]:
    """Return the ids of respondents with an order or service that has this id, or that people know by this number."""
    number = searched_number(typed)
    return [row["respondent_id"] for row in await db.fetch(session, _OF_ORDER, [typed, number], number)]


async def store_erasures(session: Session, confirmed: Mapping[tuple[str, Service], tuple[datetime, str]]) -> None:
    """Store when a service erased a respondent, and the places as JSON."""
    rows = [(*key, *confirmed[key]) for key in sorted(confirmed)]
    if rows:
        await db.fetch(session, _STORE_ERASURES, *map(list, zip(*rows, strict=True)))


async def erasures(session: Session, ids: Sequence[str]) -> list[db.Row]:
    return await db.fetch(session, _ERASURES, list(ids))
