"""Fingerprints of addresses: of invitations, and those that suppressions bind whatever respondent has them.

An invitation's fingerprints are those of the current key soon after it changed. Those of a suppression keep the key
under which they were made, since the address itself may be gone: they are found by every form of a plain address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.dispatcher.domain.addresses import (
    KEPT_AFTER_ERASURE,
    AddressedInvitation,
    BoundSuppression,
    NewSuppression,
)
from services.dispatcher.domain.suppressions import SuppressionKey, key_of
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind, SuppressionReason
from shared.database import db
from shared.database.session import Session

MOST_INVITATIONS = 20  # of a respondent, whose addresses a suppression binds: an id may stand for many people

# --- fingerprints of invitations

_UNMARKED = """SELECT id, request #>> '{contact,email}' AS email, request #>> '{contact,phone}' AS phone
FROM invitations WHERE address_key IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"""
_UNMARKED_OF = """SELECT id, request #>> '{contact,email}' AS email, request #>> '{contact,phone}' AS phone
FROM invitations WHERE respondent_id = ANY($1::text[]) AND address_key IS DISTINCT FROM $2 FOR UPDATE"""
_OTHER_KEY = """SELECT id, request #>> '{contact,email}' AS email, request #>> '{contact,phone}' AS phone
FROM (
    SELECT id, request, address_key FROM invitations WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
) AS page WHERE address_key <> $3"""
_PAGE_END = """SELECT max(id::text) AS last FROM (
    SELECT id FROM invitations WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
) AS page"""
_MARK = """UPDATE invitations i SET email_fingerprint = m.email, phone_fingerprint = m.phone, address_key = $4
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS m (id, email, phone) WHERE i.id = m.id"""


def fingerprint_of(address: str | None, keys: AddressKeys) -> bytes | None:
    return keys.fingerprint(address) if address else None


async def mark_new(session: Session, keys: AddressKeys, *, limit: int) -> int:
    """Give fingerprints to invitations that have none yet, such as those of an earlier release; return how many."""
    rows = await db.fetch(session, _UNMARKED, limit)
    await _mark(session, rows, keys)
    return len(rows)


async def mark_of(session: Session, respondents: Collection[str], keys: AddressKeys) -> None:
    """Give fingerprints of the current key to all invitations of these respondents."""
    await _mark(session, await db.fetch(session, _UNMARKED_OF, list(respondents), keys.current), keys)


async def mark_other_keys(session: Session, keys: AddressKeys, *, after: UUID | None, limit: int) -> UUID | None:
    """Give fingerprints of the current key to a page of invitations; return the last id, None after the last page."""
    await _mark(session, await db.fetch(session, _OTHER_KEY, after, limit, keys.current), keys)
    last = (await db.fetch(session, _PAGE_END, after, limit))[0]["last"]
    return UUID(last) if last is not None else None


async def _mark(session: Session, rows: Sequence[db.Row], keys: AddressKeys) -> None:
    if rows:
        emails = [fingerprint_of(row["email"], keys) for row in rows]
        phones = [fingerprint_of(row["phone"], keys) for row in rows]
        await db.fetch(session, _MARK, [row["id"] for row in rows], emails, phones, keys.current)


# --- open invitations with an address

_WITH_SAME_ADDRESS = """WITH own AS MATERIALIZED (
    SELECT email_fingerprint AS email, phone_fingerprint AS phone FROM unnest($1::text[]) AS r (respondent_id),
    LATERAL (
        SELECT * FROM invitations i WHERE i.respondent_id = r.respondent_id ORDER BY id DESC LIMIT $2
    ) AS newest
    UNION ALL SELECT given, given FROM unnest($3::bytea[]) AS given
)
SELECT id FROM invitations WHERE state = 'open' AND email_fingerprint IN (SELECT email FROM own)
UNION SELECT id FROM invitations WHERE state = 'open' AND phone_fingerprint IN (SELECT phone FROM own)"""
_ADDRESSED = """SELECT id, program, email_fingerprint AS email, phone_fingerprint AS phone FROM invitations
WHERE id = ANY($1::uuid[]) AND state = 'open'"""


async def open_with_addresses_of(
    session: Session, respondents: Collection[str], *, given: Collection[bytes] = ()
) -> set[UUID]:
    """Return open invitations, of anybody, with an address of these respondents' newest invitations, or a given one."""
    rows = await db.fetch(session, _WITH_SAME_ADDRESS, list(respondents), MOST_INVITATIONS, list(given))
    return {row["id"] for row in rows}


async def addressed(session: Session, invitations: Collection[UUID]) -> list[AddressedInvitation]:
    rows = await db.fetch(session, _ADDRESSED, list(invitations))
    return [AddressedInvitation(**row) for row in rows]


# --- addresses that suppressions bind


class BoundAddresses(NamedTuple):
    """The fingerprints that each suppression binds now, and the suppressions that bind one they did not bind before."""

    by_key: dict[SuppressionKey, frozenset[bytes]]
    with_new: set[SuppressionKey]


_BIND = """WITH wanted AS MATERIALIZED (
    SELECT s.id, s.respondent_id, s.channel, k.invitation_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[])
        AS k (respondent_id, channel, program, reason, invitation_id)
    JOIN suppressions s ON s.respondent_id = k.respondent_id AND s.channel IS NOT DISTINCT FROM k.channel
        AND s.program IS NOT DISTINCT FROM k.program AND s.reason = k.reason
), found AS (
    SELECT DISTINCT ON (w.id, a.fingerprint) w.id, a.fingerprint, i.address_key FROM wanted w, LATERAL (
        SELECT * FROM invitations i WHERE i.id = w.invitation_id
        UNION ALL (
            SELECT * FROM invitations i WHERE w.invitation_id IS NULL AND i.respondent_id = w.respondent_id
            ORDER BY id DESC LIMIT $6
        )
    ) AS i, LATERAL (VALUES (true, i.email_fingerprint), (false, i.phone_fingerprint)) AS a (is_email, fingerprint)
    WHERE a.fingerprint IS NOT NULL AND (w.channel IS NULL OR (w.channel = 'email') = a.is_email)
), bound AS (
    INSERT INTO bound_addresses (suppression_id, fingerprint, address_key) SELECT * FROM found
    ON CONFLICT DO NOTHING RETURNING suppression_id
)
SELECT s.respondent_id, s.channel, s.program, s.reason, ARRAY(
    SELECT fingerprint FROM found f WHERE f.id = w.id
    UNION SELECT fingerprint FROM bound_addresses b WHERE b.suppression_id = w.id
) AS addresses, w.id = ANY($7::uuid[]) OR EXISTS (SELECT FROM bound WHERE suppression_id = w.id) AS has_new
FROM (SELECT DISTINCT id FROM wanted) AS w JOIN suppressions s USING (id)"""


async def bind(session: Session, found: Sequence[NewSuppression]) -> BoundAddresses:
    """Bind addresses to stored suppressions: those that they state, or else those of invitations."""
    if not found:
        return BoundAddresses({}, set())
    stated = [(key_of(each.suppression), address) for each in found for address in each.suppression.addresses]
    given = await bind_known(session, stated)
    columns = [list(column) for column in zip(*(key_of(each.suppression) for each in found), strict=True)]
    taken_from = [_taken_from(each) for each in found]
    rows = await db.fetch(session, _BIND, *columns, taken_from, MOST_INVITATIONS, list(given))
    by_key = {(row["respondent_id"], row["channel"], row["program"], row["reason"]): row for row in rows}
    return BoundAddresses(
        {key: frozenset(row["addresses"]) for key, row in by_key.items()},
        {key for key, row in by_key.items() if row["has_new"]},
    )


def _taken_from(new: NewSuppression) -> UUID | None:
    """Return the invitation whose addresses are bound: none exists for a suppression that states its addresses."""
    return UUID(int=0) if new.suppression.addresses else new.invitation_id


def with_addresses(
    found: Iterable[NewSuppression], bound: dict[SuppressionKey, frozenset[bytes]]
) -> list[BoundSuppression]:
    return [BoundSuppression(each.suppression, bound.get(key_of(each.suppression), frozenset())) for each in found]


_BIND_KNOWN = """INSERT INTO bound_addresses (suppression_id, fingerprint)
SELECT s.id, decode(k.address, 'hex')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS k (respondent_id, channel, program, reason, address)
JOIN suppressions s ON s.respondent_id = k.respondent_id AND s.channel IS NOT DISTINCT FROM k.channel
    AND s.program IS NOT DISTINCT FROM k.program AND s.reason = k.reason
ON CONFLICT DO NOTHING RETURNING suppression_id"""


async def bind_known(session: Session, known: Sequence[tuple[SuppressionKey, str]]) -> set[UUID]:
    """Bind addresses given as published, in hex, whose key is not known; return the suppressions that have new ones."""
    if not known:
        return set()
    columns = [list(column) for column in zip(*(key for key, _ in known), strict=True)]
    rows = await db.fetch(session, _BIND_KNOWN, *columns, [address for _, address in known])
    return {row["suppression_id"] for row in rows}


_UNBOUND = """SELECT id, respondent_id, channel, program, reason, address,
    EXISTS (SELECT FROM bound_addresses b WHERE b.suppression_id = s.id) AS has_addresses
FROM suppressions s WHERE"""
_UNBOUND_FIRST = f"{_UNBOUND} NOT is_bound ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"
_UNBOUND_OF = f"{_UNBOUND} NOT is_bound AND respondent_id = ANY($1::text[]) FOR UPDATE"
_WRAP = """INSERT INTO bound_addresses (suppression_id, fingerprint, address_key)
SELECT id, fingerprint, $3 FROM unnest($1::uuid[], $2::bytea[]) AS w (id, fingerprint) ON CONFLICT DO NOTHING"""
_BOUND = "UPDATE suppressions SET is_bound = true, address = NULL WHERE id = ANY($1::uuid[])"


async def unbound(session: Session, *, limit: int) -> list[db.Row]:
    """Lock and return suppressions whose addresses are not bound yet."""
    return await db.fetch(session, _UNBOUND_FIRST, limit)


async def unbound_of(session: Session, respondents: Collection[str]) -> list[db.Row]:
    return await db.fetch(session, _UNBOUND_OF, list(respondents))


async def wrap(session: Session, rows: Sequence[db.Row], keys: AddressKeys) -> None:
    """Bind the addresses of suppressions that are stored as an unkeyed SHA-256."""
    known = [row for row in rows if row["address"] is not None]
    fingerprints = [keys.wrapped(row["address"]) for row in known]
    await db.fetch(session, _WRAP, [row["id"] for row in known], fingerprints, keys.current)


async def set_bound(session: Session, ids: Collection[UUID]) -> None:
    await db.fetch(session, _BOUND, list(ids))


_FORGET = """DELETE FROM bound_addresses b USING suppressions s
WHERE b.suppression_id = s.id AND s.respondent_id = ANY($1::text[]) AND s.reason <> ALL($2::text[])"""
_FORGET_UNKEYED = "UPDATE suppressions SET address = NULL, is_bound = true WHERE respondent_id = ANY($1::text[])"


async def forget(session: Session, respondents: Collection[str]) -> None:
    """Delete the fingerprints of erased respondents but those of opt-outs, complaints and STOP.

    A suppression of an address that is forgotten then applies to any address of the respondent.
    """
    await db.fetch(session, _FORGET, list(respondents), list(KEPT_AFTER_ERASURE))
    await db.fetch(session, _FORGET_UNKEYED, list(respondents))


# --- which of claimed steps go to a bound address


# an address that is not wrapped yet stands in the suppression itself; without OFFSET 0, a join might read them all
_TO_BOUND = """SELECT DISTINCT c.id
FROM unnest($1::uuid[], $2::bytea[]) AS c (id, fingerprint),
LATERAL (
    SELECT suppression_id AS id FROM bound_addresses b WHERE b.fingerprint = c.fingerprint
    UNION ALL SELECT s.id FROM suppressions s WHERE s.address = c.fingerprint
) AS bound, LATERAL (SELECT * FROM suppressions s WHERE s.id = bound.id OFFSET 0) AS s
WHERE (s.channel IS NULL OR s.channel = $3)
  AND (s.program IS NULL OR s.program = (SELECT i.program FROM invitations i WHERE i.id = c.id))
  AND (s.until IS NULL OR s.until > $4)
  AND (s.reason <> $5 OR s.respondent_id = (SELECT i.respondent_id FROM invitations i WHERE i.id = c.id))"""


async def among_bound(
    session: Session, targets: Mapping[UUID, str], channel: ChannelKind, keys: AddressKeys, *, now: datetime
) -> set[UUID]:
    """Return the invitations whose address over this channel is suppressed, whatever respondent it was stored for.

    `targets` has the address of each.
    """
    forms = [(invitation, form) for invitation, address in targets.items() for form in keys.matching(address)]
    if not forms:
        return set()
    rows = await db.fetch(
        session,
        _TO_BOUND,
        [invitation for invitation, _ in forms],
        [form for _, form in forms],
        channel,
        now,
        SuppressionReason.SOFT_BOUNCE,
    )
    return {row["id"] for row in rows}


# --- for doctor

_KEYS_IN_USE = """SELECT address_key AS key, count(*) AS count FROM bound_addresses
WHERE address_key IS NOT NULL GROUP BY 1"""


async def keys_in_use(session: Session) -> dict[str, int]:
    """Return, by the id of their key, how many bound addresses are stored."""
    return {row["key"]: row["count"] for row in await db.fetch(session, _KEYS_IN_USE)}
