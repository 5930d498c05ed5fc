"""Receipts of providers, the attempts they are about, and attempts whose status is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from services.dispatcher.domain.receipt_effects import AttemptAdvance, MatchedReceipt, unknown_senders
from services.dispatcher.domain.receipts import ORDER, Receipt, ReceiptKind, Reference
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.isolated import storable
from shared.database.session import Session

KEPT = timedelta(days=30)  # a receipt repeated after this time is handled as a new one
_MOST_LOOKS = 14  # waits of 1, 2, 4 … seconds, which are about four and a half hours

_ADD = """INSERT INTO receipts (id, provider, key, kind, channel, reason, invitation_id, step, message_id, phone)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::int[],
    $9::text[], $10::bytea[])
ON CONFLICT DO NOTHING"""


async def add(session: Session, found: Sequence[Receipt]) -> None:
    """Store receipts to be applied; those stored before are ignored."""
    if not found:
        return
    await db.fetch(
        session,
        _ADD,
        [uuid7() for _ in found],
        [each.provider for each in found],
        [_text(each.key, 300) for each in found],
        [each.kind for each in found],
        [each.channel for each in found],
        [_text(each.reason, 100) for each in found],
        [each.reference and each.reference.invitation_id for each in found],
        [each.reference and each.reference.step for each in found],
        [_text(each.message_id, 200) for each in found],
        [each.phone for each in found],
    )


def _text(given: str | None, most: int) -> str | None:
    """Shorten a provider's text, and replace characters that a text column or an event cannot hold."""
    return storable(given[:most]).strip() or None if given is not None else None


_DUE_IDS = "SELECT id FROM receipts WHERE look_at <= clock_timestamp() ORDER BY look_at LIMIT $1"
_DUE = """SELECT id, provider, key, kind, channel, reason, invitation_id, step, message_id, phone FROM receipts
WHERE look_at <= clock_timestamp() AND ($2::uuid[] IS NULL OR id = ANY($2)) ORDER BY look_at LIMIT $1
FOR UPDATE SKIP LOCKED"""
_ATTEMPTS = """SELECT DISTINCT ON (r.id) r.id, a.id AS attempt_id, a.invitation_id, a.step, i.respondent_id
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::int[], $5::text[]) AS r (id, channel, invitation_id, step, message)
JOIN attempts a ON a.channel = r.channel AND (
    a.id IN (SELECT id FROM attempts WHERE invitation_id = r.invitation_id AND step = r.step)
    OR a.id IN (SELECT id FROM attempts WHERE provider_message_id = r.message AND r.invitation_id IS NULL))
JOIN invitations i ON i.id = a.invitation_id
ORDER BY r.id, a.try DESC"""
_WRITERS = """SELECT r.id, i.respondent_id FROM unnest($1::uuid[], $2::bytea[]) AS r (id, phone)
JOIN attempts a ON a.phone = r.phone JOIN invitations i ON i.id = a.invitation_id
UNION SELECT r.id, i.respondent_id FROM unnest($1::uuid[], $2::bytea[]) AS r (id, phone)
JOIN invitations i ON i.phone_fingerprint = r.phone"""


async def due(session: Session, *, limit: int) -> list[UUID]:
    """Return the ids of due receipts."""
    return [row["id"] for row in await db.fetch(session, _DUE_IDS, limit)]


async def take_due(session: Session, *, limit: int, among: Collection[UUID] | None = None) -> dict[UUID, Receipt]:
    """Lock and return due receipts, only those of `among` if given; receipts locked by others are skipped."""
    among = None if among is None else list(among)
    return {row["id"]: _receipt(row) for row in await db.fetch(session, _DUE, limit, among)}


async def matched(session: Session, due: Mapping[UUID, Receipt], *, address_keys: AddressKeys) -> list[MatchedReceipt]:
    """Find the attempt of each receipt, by our reference or the provider's id; the respondents of a reply, by phone."""
    about = {id_: each for id_, each in due.items() if each.phone is None}
    references = [each.reference for each in about.values()]
    found = await db.fetch(
        session,
        _ATTEMPTS,
        list(about),
        [each.channel for each in about.values()],
        [reference and reference.invitation_id for reference in references],
        [reference and reference.step for reference in references],
        [each.message_id for each in about.values()],
    )
    writers = await _writers(session, due, address_keys)
    known = [MatchedReceipt(receipt=due[row["id"]], **row) for row in (*found, *writers)]
    return known + unknown_senders(due, known={row["id"] for row in writers}, address_keys=address_keys)


async def _writers(session: Session, due: Mapping[UUID, Receipt], keys: AddressKeys) -> Sequence[asyncpg.Record]:
    forms = [(id_, form) for id_, each in due.items() if each.phone for form in keys.matching_wrapped(each.phone)]
    if not forms:
        return []
    return await db.fetch(session, _WRITERS, [id_ for id_, _ in forms], [form for _, form in forms])


_SURVEYED = """SELECT DISTINCT i.id FROM unnest($1::text[], $2::text[]) AS s (respondent_id, channel)
JOIN invitations i ON i.respondent_id = s.respondent_id AND i.state = 'open'
JOIN attempts a ON a.invitation_id = i.id AND a.channel = s.channel
    AND a.state IN ('sent', 'delivered', 'complained', 'unknown')"""


async def surveyed(session: Session, senders: Collection[tuple[str, ChannelKind]]) -> list[UUID]:
    """Return the open invitations of respondents from which they may have got a message over a channel."""
    respondents, channels = [sender for sender, _ in senders], [channel for _, channel in senders]
    return [row["id"] for row in await db.fetch(session, _SURVEYED, respondents, channels)]


_DONE = "UPDATE receipts SET look_at = NULL WHERE id = ANY($1::uuid[])"
_LATER = """UPDATE receipts SET looks = looks + 1,
    look_at = CASE WHEN looks < $2 THEN clock_timestamp() + (1 << looks) * interval '1 second' END
WHERE id = ANY($1::uuid[])"""


async def set_aside(session: Session, ids: Collection[UUID]) -> None:
    """Make receipts never due again; they stay stored as long as receipts are kept."""
    await db.fetch(session, _DONE, list(ids))


async def put_away(session: Session, done: Collection[UUID], *, unmatched: Collection[UUID]) -> None:
    """Finish applied receipts; those whose message is unknown yet are due again later, at most 14 times."""
    await db.fetch(session, _DONE, list(done))
    await db.fetch(session, _LATER, list(unmatched), _MOST_LOOKS)


_ADVANCE = """UPDATE attempts a
SET state = n.state, reason = n.reason, revision = a.revision + 1, ask_at = NULL
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (id, state, reason)
WHERE a.id = n.id AND array_position($4::text[], a.state) < array_position($4::text[], n.state)
RETURNING a.id, a.invitation_id, a.step, a.channel, a.provider, a.state, a.reason, a.revision"""


async def advance(session: Session, moves: Sequence[AttemptAdvance]) -> list[asyncpg.Record]:
    """Advance attempts of locked invitations; return those that changed. Their time of contact stays."""
    return await db.fetch(
        session,
        _ADVANCE,
        [move.attempt_id for move in moves],
        [move.state for move in moves],
        [move.reason for move in moves],
        list(ORDER),
    )


_SOFT = """SELECT i.respondent_id, a.channel, count(*) FROM attempts a JOIN invitations i ON i.id = a.invitation_id
WHERE i.respondent_id = ANY($1::text[]) AND a.state = 'bounced' AND a.reason LIKE 'soft_bounce%' AND a.at > $2
GROUP BY 1, 2"""


async def soft_bounces(
    session: Session, respondents: Collection[str], *, since: datetime
) -> dict[tuple[str, ChannelKind], int]:
    rows = await db.fetch(session, _SOFT, list(respondents), since)
    return {(row["respondent_id"], ChannelKind(row["channel"])): row["count"] for row in rows}


_ADDRESSES = """SELECT i.id, c.channel, sha256(convert_to(lower(trim(
    i.request #>> CASE c.channel WHEN 'email' THEN '{contact,email}' ELSE '{contact,phone}' END::text[]
)), 'UTF8')) AS address FROM unnest($1::uuid[], $2::text[]) AS c (id, channel) JOIN invitations i USING (id)"""


async def addresses(
    session: Session, wanted: Collection[tuple[UUID, ChannelKind]]
) -> dict[tuple[UUID, ChannelKind], bytes | None]:
    """Return fingerprints of the addresses that invitations were sent to; None where the address was erased."""
    rows = await db.fetch(session, _ADDRESSES, [each for each, _ in wanted], [channel for _, channel in wanted])
    return {(row["id"], ChannelKind(row["channel"])): row["address"] for row in rows}


_FORGET = "DELETE FROM receipts WHERE stored_at < clock_timestamp() - $1::interval"


async def forget_old(session: Session) -> None:
    await db.fetch(session, _FORGET, KEPT)


_FORGET_PHONES = """WITH known AS (
    SELECT a.id, a.phone FROM attempts a JOIN invitations i ON i.id = a.invitation_id
    WHERE i.respondent_id = ANY($1::text[]) AND a.phone IS NOT NULL
), said AS (
    UPDATE receipts r SET phone = NULL, look_at = NULL FROM known WHERE r.phone = known.phone
)
UPDATE attempts a SET phone = NULL FROM known WHERE a.id = known.id"""


async def forget_phones(session: Session, respondents: Collection[str]) -> None:
    await db.fetch(session, _FORGET_PHONES, list(respondents))


def _receipt(row: asyncpg.Record) -> Receipt:
    known = row["invitation_id"] is not None
    return Receipt(
        provider=row["provider"],
        key=row["key"],
        kind=ReceiptKind(row["kind"]),
        channel=ChannelKind(row["channel"]),
        reason=row["reason"],
        reference=Reference(row["invitation_id"], row["step"]) if known else None,
        message_id=row["message_id"],
        phone=row["phone"],
    )


# --- status of text messages

_POLL_AFTER = (60, 600, 1800, 7200, 28800, 86400)  # seconds since the last inquiry
_UNANSWERED = """UPDATE attempts a SET asked = a.asked + 1,
    ask_at = clock_timestamp() + ($2::int[])[a.asked + 1] * interval '1 second'
FROM (
    SELECT id FROM attempts WHERE state = 'unknown' AND ask_at <= clock_timestamp()
    ORDER BY ask_at LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due JOIN LATERAL (SELECT r.request::text FROM attempts b JOIN requests r ON r.id = b.invitation_id
    WHERE b.id = due.id) AS asked ON true
WHERE a.id = due.id
RETURNING a.id, a.step, a.provider, a.provider_message_id, a.asked, asked.request"""


async def to_ask(session: Session, *, limit: int) -> list[asyncpg.Record]:
    """Take `unknown` attempts whose provider is due to be asked; each is due again after growing waits, six times."""
    return await db.fetch(session, _UNANSWERED, limit, list(_POLL_AFTER))
