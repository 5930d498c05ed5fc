"""Addresses that customers were invited at, by fingerprint, and the suppressions that bind addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.addresses import AddressRecord
from services.trigger.repository import new_rows
from shared.contract.vocabulary import ChannelKind
from shared.database import db

_JSON = msgspec.json.Encoder()

_LOCK = """SELECT fingerprint, respondents, last_contacts FROM addresses WHERE fingerprint = ANY($1::bytea[])
ORDER BY fingerprint FOR UPDATE"""

_SAVE = """UPDATE addresses SET last_contacts = new.last_contacts,
respondents = ARRAY(SELECT jsonb_array_elements_text(new.respondents))
FROM unnest($1::bytea[], $2::jsonb[], $3::jsonb[]) AS new (fingerprint, respondents, last_contacts)
WHERE addresses.fingerprint = new.fingerprint"""

_DELETE = "DELETE FROM addresses WHERE fingerprint = ANY($1::bytea[]) AND respondents = '{}'"

_BIND = """INSERT INTO address_suppressions (fingerprint, channel, program, reason, until)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (fingerprint, channel, program, reason) DO UPDATE SET until = EXCLUDED.until"""

_RELEASE = """DELETE FROM address_suppressions AS s
USING unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) AS gone (fingerprint, channel, program, reason)
WHERE s.fingerprint = gone.fingerprint AND s.reason = gone.reason
AND s.channel IS NOT DISTINCT FROM gone.channel AND s.program IS NOT DISTINCT FROM gone.program"""

_FORGET = """DELETE FROM address_suppressions WHERE fingerprint = ANY($1::bytea[])
AND reason NOT IN ('opt_out', 'complaint', 'stop')"""

_REKEY = """INSERT INTO address_suppressions (fingerprint, channel, program, reason, until)
SELECT pair.current, s.channel, s.program, s.reason, s.until
FROM unnest($1::bytea[], $2::bytea[]) AS pair (older, current)
JOIN address_suppressions AS s ON s.fingerprint = pair.older ON CONFLICT DO NOTHING"""

_DELETE_SUPPRESSIONS = "DELETE FROM address_suppressions WHERE fingerprint = ANY($1::bytea[])"


class AddressSuppressionKey(NamedTuple):
    """`channel` None means every channel, `program` None every program."""

    fingerprint: bytes
    channel: ChannelKind | None
    program: str | None
    reason: str


async def lock(session: AsyncSession, fingerprints: Collection[bytes]) -> dict[bytes, AddressRecord]:
    """Lock and load the addresses that have rows, in one order in every transaction; respondents are locked before."""
    if not fingerprints:
        return {}
    return {row["fingerprint"]: _record(row) for row in await db.fetch(session, _LOCK, sorted(fingerprints))}


async def add(session: AsyncSession, records: Collection[AddressRecord]) -> None:
    """Insert new addresses; raises Raced."""
    columns = ("fingerprint", "respondents", "last_contacts")
    rows = [(r.fingerprint, list(r.respondents), _JSON.encode(r.last_contacts).decode()) for r in _in_order(records)]
    await new_rows.add(session, "addresses", columns, rows)


async def save(session: AsyncSession, records: Collection[AddressRecord]) -> None:
    if not records:
        return
    ordered = _in_order(records)
    respondents = [_JSON.encode(r.respondents).decode() for r in ordered]
    contacts = [_JSON.encode(r.last_contacts).decode() for r in ordered]
    await db.fetch(session, _SAVE, [r.fingerprint for r in ordered], respondents, contacts)


async def forget(session: AsyncSession, erased: Collection[Sequence[bytes]]) -> None:
    """Delete what an erasure leaves without a respondent, all but a no, which stays under the current key.

    `erased` has the forms of each address's fingerprint, the current key's first.
    """
    every = [one for forms in erased for one in forms]
    pairs = [(one, forms[0]) for forms in erased for one in forms[1:]]
    await db.fetch(session, _DELETE, every)
    await db.fetch(session, _FORGET, every)
    await db.fetch(session, _REKEY, *zip(*pairs, strict=True))
    await db.fetch(session, _DELETE_SUPPRESSIONS, [old for old, _ in pairs])


async def bind(session: AsyncSession, until: Mapping[AddressSuppressionKey, datetime | None]) -> None:
    if until:
        await db.fetch(session, _BIND, *zip(*((*key, until[key]) for key in sorted(until, key=_order)), strict=True))


async def release(session: AsyncSession, keys: Collection[AddressSuppressionKey]) -> None:
    if keys:
        await db.fetch(session, _RELEASE, *zip(*keys, strict=True))


def _order(key: AddressSuppressionKey) -> tuple[bytes, str]:
    return key.fingerprint, f"{key.channel} {key.program} {key.reason}"  # in every transaction, to avoid deadlocks


def _in_order(records: Collection[AddressRecord]) -> list[AddressRecord]:
    return sorted(records, key=lambda record: record.fingerprint)  # in every transaction, to avoid deadlocks


def _record(row: db.Row) -> AddressRecord:
    contacts = {
        cause: {program: datetime.fromisoformat(at) for program, at in by_program.items()}
        for cause, by_program in row["last_contacts"].items()
    }
    return AddressRecord(row["fingerprint"], tuple(row["respondents"]), contacts)
