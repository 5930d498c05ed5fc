"""Respondents: the row of each is locked before anything about them is decided or published.

In a compact row a value is NULL where another column or a default says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec

from services.trigger.domain.consents import ConsentStatement, Statements, plain_statement, surveys_of
from services.trigger.domain.respondents import ContactCause, Respondent
from services.trigger.domain.sampling import spread_of
from services.trigger.repository import new_rows
from shared.contract.events import Consent
from shared.database import compact_rows, db
from shared.database.session import Session

_JSON = msgspec.json.Encoder()
_INVITATION = ContactCause.INVITATION.value
_LETTERS = {True: "y", False: "n", None: "-"}
_KNOWN = {letter: known for known, letter in _LETTERS.items()}

_COLUMNS = (
    "id, customer_id, name, email, phone, locale, time_zone, consent, attributes, purchases, first_purchase_at, "
    "last_purchase_at, known_at, last_answered_at, last_category, last_score, moments, erased_at, cleared, "
    "address_source, consents, program_id, invited_at, consent_statements"
)

_SELECTED = f"{_COLUMNS}, has_older_id"

_LOAD = f"SELECT {_SELECTED} FROM respondents WHERE id = ANY($1::text[]) ORDER BY id"  # noqa: S608 - constants of this file
_LOCK = f"SELECT {_SELECTED} FROM respondents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"  # noqa: S608 - constants of this file

_SAVE = f"""UPDATE respondents SET customer_id = new.customer_id, name = new.name, email = new.email,
phone = new.phone, locale = new.locale, time_zone = new.time_zone, consent = new.consent,
attributes = new.attributes, purchases = new.purchases, first_purchase_at = new.first_purchase_at,
last_purchase_at = new.last_purchase_at, known_at = new.known_at, last_answered_at = new.last_answered_at,
last_category = new.last_category, last_score = new.last_score, moments = new.moments, erased_at = new.erased_at,
cleared = new.cleared, address_source = new.address_source, consents = new.consents,
program_id = new.program_id, invited_at = new.invited_at, consent_statements = new.consent_statements
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
$9::jsonb[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[],
$16::int[], $17::jsonb[], $18::timestamptz[], $19::jsonb[], $20::text[], $21::text[], $22::text[],
$23::timestamptz[], $24::jsonb[])
AS new ({_COLUMNS}) WHERE respondents.id = new.id"""  # noqa: S608 - constants of this file

_GUESTS = "SELECT id FROM respondents WHERE id LIKE '%guest-%' AND right(id, 32) = ANY($1::text[]) ORDER BY id"


async def lock(session: Session, ids: Collection[str]) -> dict[str, Respondent]:
    """Lock and load the respondents that have rows, in one order in every transaction, to avoid deadlocks."""
    return {row["id"]: _respondent(row) for row in await db.fetch(session, _LOCK, sorted(ids))}


async def load(session: Session, ids: Collection[str]) -> list[Respondent]:
    """Load the respondents that have rows, without locking them."""
    return [_respondent(row) for row in await db.fetch(session, _LOAD, list(ids))]


async def guests(session: Session, pseudonyms: Sequence[str]) -> list[str]:
    """Return the ids of the respondents, of any namespace, with one of these pseudonyms."""
    return [row["id"] for row in await db.fetch(session, _GUESTS, list(pseudonyms))]


async def load_all(session: Session) -> list[Respondent]:
    rows = await db.fetch(session, f"SELECT {_SELECTED} FROM respondents")  # noqa: S608 - constants of this file
    return [_respondent(row) for row in rows]


async def add(session: Session, respondents: Sequence[Respondent]) -> None:
    """Insert new respondents; raises Raced."""
    if not respondents:
        return
    in_order = sorted(respondents, key=lambda respondent: new_rows.place_of(respondent.id))  # avoids deadlocks
    rows = [(*row, spread_of(row[0]), False) for row in await _rows(session, in_order)]
    await new_rows.add(session, "respondents", (*_COLUMNS.split(", "), "spread", "has_older_id"), rows)


async def save(session: Session, respondents: Sequence[Respondent]) -> None:
    if respondents:
        await db.fetch(session, _SAVE, *zip(*await _rows(session, respondents), strict=True))


async def _rows(session: Session, respondents: Sequence[Respondent]) -> list[tuple[Any, ...]]:
    row_of = _compact_row if await compact_rows.are_on(session) else _wide_row
    return [row_of(respondent) for respondent in respondents]


def _compact_row(r: Respondent) -> tuple[Any, ...]:
    contacts = dict(r.last_contacts)
    (program_id, invited_at), *others = contacts.pop(_INVITATION, {}).items() or ((None, None),)
    if others:
        contacts[_INVITATION] = dict(others)
    first, last = r.first_purchase_at, r.last_purchase_at
    return (
        r.id,
        None if r.known_at and r.customer_id == r.id else r.customer_id,
        *(r.name, r.email, r.phone, r.locale, r.time_zone),
        None,
        _text(r.attributes),
        r.purchases,
        None if r.purchases and first == r.known_at else first,
        None if r.purchases and last == r.known_at else last,
        *(r.known_at, r.last_answered_at, r.last_category, r.last_score),
        _text(contacts),
        r.erased_at,
        _text(r.cleared),
        r.address_source,
        _letters(r.consent.email, r.consent.sms, r.consent.call),
        *(program_id, invited_at),
        _stored_statements(r),
    )


def _wide_row(r: Respondent) -> tuple[Any, ...]:
    """Return a row that the version before can read."""
    return (
        *(r.id, r.customer_id, r.name, r.email, r.phone, r.locale, r.time_zone),
        _JSON.encode({channel: known for channel, known in vars(r.consent).items() if known is not None}).decode(),
        _JSON.encode(r.attributes).decode(),
        *(r.purchases, r.first_purchase_at, r.last_purchase_at),
        *(r.known_at, r.last_answered_at, r.last_category, r.last_score),
        _JSON.encode(r.last_contacts).decode(),
        r.erased_at,
        _text(r.cleared),
        r.address_source,
        *(None, None, None),
        _stored_statements(r),
    )


def _text(document: Mapping[str, Any]) -> str | None:
    return _JSON.encode(document).decode() if document else None


@lru_cache(maxsize=27)  # each channel: yes, no or unknown
def _letters(email: bool | None, sms: bool | None, call: bool | None) -> str | None:  # noqa: FBT001 - as in Consent
    letters = "".join(_LETTERS[known] for known in (email, sms, call))
    return None if letters == "---" else letters


@lru_cache(maxsize=27)
def _consent(letters: str | None) -> Consent:
    email, sms, call = (_KNOWN[letter] for letter in letters or "---")
    return Consent(email=email, sms=sms, call=call)


def _stored_statements(r: Respondent) -> str | None:
    """Encode the statements of each channel; of one with only a plain yes or no, which another column has, the time."""
    if not r.statements:
        return None
    return _text(
        {
            channel: stated[0].at if stated == (plain_statement(stated[0].given, stated[0].at),) else stated
            for channel, stated in r.statements.items()
        }
    )


def _statements(stored: Mapping[str, Any], known: Consent) -> Statements:
    """Read the statements of each channel; a consent that differs was stored by a version that does not know them."""
    read = {channel: _stated(told, getattr(known, channel)) for channel, told in stored.items()}
    return {channel: told for channel, told in read.items() if told and surveys_of(told) == getattr(known, channel)}


def _stated(stored: Any, surveys: bool | None) -> tuple[ConsentStatement, ...]:  # noqa: FBT001 - as in Consent
    if not isinstance(stored, str):
        return msgspec.convert(stored, tuple[ConsentStatement, ...])
    return () if surveys is None else (plain_statement(surveys, datetime.fromisoformat(stored)),)


def _respondent(row: asyncpg.Record) -> Respondent:
    fields = dict(row)
    consent, letters, contacts = fields.pop("consent"), fields.pop("consents"), fields.pop("moments") or {}
    program_id, invited_at = fields.pop("program_id"), fields.pop("invited_at")
    statements = fields.pop("consent_statements")
    last_contacts = {
        cause: {program: datetime.fromisoformat(at) for program, at in by_program.items()}
        for cause, by_program in contacts.items()
    }
    if program_id is not None:
        last_contacts.setdefault(_INVITATION, {})[program_id] = invited_at
    known_at = fields["known_at"]
    if known_at and fields["customer_id"] is None:
        fields["customer_id"] = fields["id"]
    if fields["purchases"]:
        fields["first_purchase_at"] = fields["first_purchase_at"] or known_at
        fields["last_purchase_at"] = fields["last_purchase_at"] or known_at
    fields["attributes"] = fields["attributes"] or {}
    fields["cleared"] = {name: datetime.fromisoformat(at) for name, at in (fields["cleared"] or {}).items()}
    known = _consent(letters) if consent is None else Consent(**consent)
    fields["statements"] = _statements(statements, known) if statements else {}
    return Respondent(**fields, consent=known, last_contacts=last_contacts)
