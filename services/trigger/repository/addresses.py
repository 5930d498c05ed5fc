"""Addresses that customers were invited at, by fingerprint, and the suppressions that bind addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.trigger.domain.addresses import AddressRecord
from services.trigger.domain.respondents import ContactCause
from services.trigger.repository import new_rows
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session
from shared.ids import id_from

_JSON = msgspec.json.Encoder()
_INVITATION = ContactCause.INVITATION.value

_COLUMNS = ("fingerprint", "respondent_id", "program_id", "invited_at", "further")

_LOCK = f"""SELECT {", ".join(_COLUMNS)} FROM addresses WHERE fingerprint = ANY($1::uuid[])
ORDER BY fingerprint FOR UPDATE"""  # noqa: S608 - constants of this file

_SAVE = f"""UPDATE addresses SET respondent_id = new.respondent_id, program_id = new.program_id,
invited_at = new.invited_at, further = new.further
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[]) AS new ({", ".join(_COLUMNS)})
WHERE addresses.fingerprint = new.fingerprint"""  # noqa: S608 - constants of this file

_DELETE = "DELETE FROM addresses WHERE fingerprint = ANY($1::uuid[]) AND respondent_id IS NULL"

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


async def lock(session: Session, fingerprints: Collection[bytes]) -> dict[bytes, AddressRecord]:
    """Lock and load the addresses that have rows, in one order in every transaction; respondents are locked before."""
    if not fingerprints:
        return {}
    by_key = {_key(fingerprint): fingerprint for fingerprint in sorted(fingerprints)}
    rows = await db.fetch(session, _LOCK, list(by_key))
    return {(known := by_key[row["fingerprint"]]): _record(row, known) for row in rows}


async def add(session: Session, records: Collection[AddressRecord]) -> None:
    """Insert new addresses; raises Raced."""
    await new_rows.add(session, "addresses", _COLUMNS, [_row(record) for record in _in_order(records)])


async def save(session: Session, records: Collection[AddressRecord]) -> None:
    if records:
        await db.fetch(session, _SAVE, *zip(*map(_row, _in_order(records)), strict=True))


async def forget(session: Session, erased: Collection[Sequence[bytes]]) -> None:
    """Delete what an erasure leaves without a respondent, all but a no, which stays under the current key.

    `erased` has the forms of each address's fingerprint, the current key's first.
    """
    every = [one for forms in erased for one in forms]
    pairs = [(one, forms[0]) for forms in erased for one in forms[1:]]
    await db.fetch(session, _DELETE, [_key(one) for one in every])
    await db.fetch(session, _FORGET, every)
    await db.fetch(session, _REKEY, *zip(*pairs, strict=True))
    await db.fetch(session, _DELETE_SUPPRESSIONS, [old for old, _ in pairs])


async def bind(session: Session, until: Mapping[AddressSuppressionKey, datetime | None]) -> None:
    if until:
        await db.fetch(session, _BIND, *zip(*((*key, until[key]) for key in sorted(until, key=_order)), strict=True))


async def release(session: Session, keys: Collection[AddressSuppressionKey]) -> None:
    if keys:
        await db.fetch(session, _RELEASE, *zip(*keys, strict=True))


def _order(key: AddressSuppressionKey) -> tuple[bytes, str]:
    return key.fingerprint, f"{key.channel} {key.program} {key.reason}"  # in every transaction, to avoid deadlocks


def _in_order(records: Collection[AddressRecord]) -> list[AddressRecord]:
    return sorted(records, key=lambda record: record.fingerprint)  # in every transaction, to avoid deadlocks


def _key(fingerprint: bytes) -> UUID:
    return id_from(fingerprint[:16])


def _row(record: AddressRecord) -> tuple[Any, ...]:
    """Return a row; only an address of several respondents or programs has something in its last column."""
    respondent_id, *others = record.respondents or (None,)
    (program_id, invited_at), *contacts = record.last_contacts.get(_INVITATION, {}).items() or ((None, None),)
    further = _JSON.encode((others, dict(contacts))).decode() if others or contacts else None
    return _key(record.fingerprint), respondent_id, program_id, invited_at, further


def _record(row: db.Row, fingerprint: bytes) -> AddressRecord:
    others, contacts = row["further"] or ((), {})
    respondents = () if row["respondent_id"] is None else (row["respondent_id"], *others)
    times = {} if row["program_id"] is None else {row["program_id"]: row["invited_at"]}
    times |= {program: datetime.fromisoformat(at) for program, at in contacts.items()}
    return AddressRecord(fingerprint, respondents, {_INVITATION: times} if times else {})
