"""Invitations, and outcomes that were received before their request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.dispatcher.domain.chain import late_answer_counts
from services.dispatcher.domain.invitations import LockedInvitation
from services.dispatcher.domain.stored_requests import split
from services.dispatcher.repository.addresses import fingerprint_of
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Consent, Contact, SurveyRequested
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import InvitationOutcome, respondent_ids_like
from shared.database import compact_rows, db
from shared.database.session import Session
from shared.ids import first_id

_ADD_CONTENTS = """INSERT INTO contents (digest, document) SELECT * FROM unnest($1::bytea[], $2::jsonb[])
ON CONFLICT DO NOTHING"""
_INSERT = """INSERT INTO invitations (id, respondent_id, program, request, content, unsubscribe, expires_at,
    email_fingerprint, phone_fingerprint, address_key)
SELECT *, $10 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[], $6::bytea[],
    $7::timestamptz[], $8::bytea[], $9::bytea[])
ON CONFLICT DO NOTHING RETURNING id"""


def _id_of(new: tuple[SurveyRequested, bytes]) -> UUID:
    return new[0].invitation_id


async def insert(
    session: Session, new: Sequence[tuple[SurveyRequested, bytes]], *, address_keys: AddressKeys
) -> set[UUID]:
    """Store requests with the fingerprint of their unsubscribe link; return the ids that were new."""
    new = sorted(new, key=_id_of)  # so that pages of the index become full
    requests = [request for request, _ in new]
    compact = await compact_rows.are_on(session)
    parts = [split(request, compact=compact) for request in requests]
    contents = sorted({each.digest: each.content for each in parts}.items())  # in one order, or inserts deadlock
    await db.fetch(session, _ADD_CONTENTS, [digest for digest, _ in contents], [content for _, content in contents])
    rows = await db.fetch(
        session,
        _INSERT,
        [request.invitation_id for request in requests],
        [request.respondent_id for request in requests],
        [request.program.id for request in requests],
        [each.own for each in parts],
        [each.digest for each in parts],
        [fingerprint for _, fingerprint in new],
        [request.expires_at for request in requests],
        [fingerprint_of(request.contact.email, address_keys) for request in requests],
        [fingerprint_of(request.contact.phone, address_keys) for request in requests],
        address_keys.current,
    )
    return {row["id"] for row in rows}


_KNOWN = "SELECT id FROM invitations WHERE id = ANY($1::uuid[])"
_LOCK = """SELECT id, respondent_id, program, state = 'open' AS is_open FROM invitations
WHERE id = ANY($1::uuid[]) OR (respondent_id = ANY($2::text[]) AND state = 'open')
ORDER BY id FOR UPDATE"""


async def known(session: Session, ids: Collection[UUID]) -> set[UUID]:
    return {row["id"] for row in await db.fetch(session, _KNOWN, list(ids))}


async def lock(
    session: Session, ids: Iterable[UUID] = (), *, open_of: Iterable[str] = ()
) -> dict[UUID, LockedInvitation]:
    """Lock these invitations, and every open one of these respondents, in the order of their ids."""
    rows = await db.fetch(session, _LOCK, list(ids), list(open_of))
    return {row["id"]: LockedInvitation(**row) for row in rows}


_CLOSE = """UPDATE invitations i SET state = 'closed', outcome = c.outcome, closed_at = $3
FROM unnest($1::uuid[], $2::text[]) AS c (id, outcome)
WHERE i.id = c.id AND (i.state = 'open' OR (c.outcome = 'answered' AND i.outcome = ANY($4::text[])))
RETURNING i.id, i.respondent_id"""
_REVISABLE = [outcome for outcome in InvitationOutcome if late_answer_counts(outcome)]


async def close(session: Session, outcomes: Mapping[UUID, InvitationOutcome], *, at: datetime) -> list[asyncpg.Record]:
    """Give locked invitations their outcome; return id and respondent_id of those whose outcome is new."""
    return await db.fetch(session, _CLOSE, list(outcomes), list(outcomes.values()), at, _REVISABLE)


_EXPIRED = """SELECT id FROM invitations WHERE state = 'open' AND expires_at <= $1
ORDER BY expires_at LIMIT $2"""


async def expired(session: Session, *, now: datetime, limit: int) -> list[UUID]:
    return [row["id"] for row in await db.fetch(session, _EXPIRED, now, limit)]


_BY_LINK = "SELECT r.request::text FROM invitations i JOIN requests r USING (id) WHERE i.unsubscribe = $1"


async def by_unsubscribe_link(session: Session, fingerprint: bytes) -> SurveyRequested | None:
    rows = await db.fetch(session, _BY_LINK, fingerprint)
    return SurveyRequested.model_validate_json(rows[0]["request"]) if rows else None


_CONSENT = """UPDATE invitations i SET request = jsonb_set(i.request, '{consent}', coalesce(
        i.request -> 'consent', (SELECT document -> 'consent' FROM contents WHERE digest = i.content), '{}'
    ) || c.change), revision = i.revision + 1
FROM unnest($1::text[], $2::jsonb[]) AS c (respondent_id, change)
WHERE i.respondent_id = c.respondent_id AND i.state = 'open'"""


async def change_consent(session: Session, changes: Mapping[str, Consent]) -> None:
    """Change the consent of open invitations: yes and no replace the known value, unknown keeps it."""
    dumped = [consent.model_dump_json(exclude_none=True) for consent in changes.values()]
    await db.fetch(session, _CONSENT, list(changes), dumped)


_ADD_CONTACT = """UPDATE invitations i SET
    request = jsonb_set(i.request, '{contact}', i.request -> 'contact' || jsonb_strip_nulls(jsonb_build_object(
        'email', CASE WHEN i.request #>> '{contact,email}' IS NULL THEN c.email END,
        'phone', CASE WHEN i.request #>> '{contact,phone}' IS NULL THEN c.phone END
    ))),
    email_fingerprint = CASE WHEN i.request #>> '{contact,email}' IS NULL THEN c.email_fingerprint
        ELSE i.email_fingerprint END,
    phone_fingerprint = CASE WHEN i.request #>> '{contact,phone}' IS NULL THEN c.phone_fingerprint
        ELSE i.phone_fingerprint END,
    revision = i.revision + 1
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])
    AS c (respondent_id, email, phone, email_fingerprint, phone_fingerprint)
WHERE i.respondent_id = c.respondent_id AND i.state = 'open'"""


async def add_contact(session: Session, added: Mapping[str, Contact], *, address_keys: AddressKeys) -> None:
    """Give open invitations the addresses that they lack."""
    contacts = added.values()
    await db.fetch(
        session,
        _ADD_CONTACT,
        list(added),
        [contact.email for contact in contacts],
        [contact.phone for contact in contacts],
        [fingerprint_of(contact.email, address_keys) for contact in contacts],
        [fingerprint_of(contact.phone, address_keys) for contact in contacts],
    )


_CHECK_AGAIN = "UPDATE invitations SET revision = revision + 1 WHERE id = ANY($1::uuid[]) AND state = 'open'"


async def check_again(session: Session, ids: Collection[UUID]) -> None:
    """Have leased steps of these invitations checked again before they are sent."""
    await db.fetch(session, _CHECK_AGAIN, list(ids))


_WIPED = json.dumps({"contact": {}, "customer_name": None, "customer_id": "erased"})
_WIPE = """UPDATE invitations SET request = request || $2::jsonb, email_fingerprint = NULL, phone_fingerprint = NULL
WHERE respondent_id = ANY($1::text[])"""


async def wipe(session: Session, respondents: Collection[str]) -> None:
    """Delete the addresses, their fingerprints and the names of respondents from all their invitations."""
    await db.fetch(session, _WIPE, list(respondents), _WIPED)


_SEEN = """({0}::text[] IS NULL OR i.program = ANY({0}))
AND ({1}::text[] IS NULL OR i.request #>> '{{segments,store}}' = ANY({1}))"""
_HISTORY = f"""SELECT i.id, i.respondent_id, i.state, i.outcome, r.request::text, i.expires_at, i.closed_at,
i.created_at FROM invitations i JOIN requests r USING (id) WHERE i.id = $1 AND {_SEEN.format("$2", "$3")}"""  # noqa: S608 - constants only


async def history(session: Session, invitation_id: UUID, *, scope: StaffScope = WHOLE) -> asyncpg.Record | None:
    """Return an invitation, None where there is none in the scope."""
    rows = await db.fetch(session, _HISTORY, invitation_id, *scope.arguments)
    return rows[0] if rows else None


_SUMMARY = """SELECT id, respondent_id, program, state, outcome,
coalesce(request->>'customer_id', CASE WHEN request ? 'event' THEN respondent_id END) AS customer_id,
coalesce(request->>'send_at', to_jsonb(expires_at - make_interval(secs => (
    SELECT (document->>'lifetime_s')::float8 FROM contents WHERE digest = content))) #>> '{{}}') AS send_at,
created_at, closed_at, {0} AS seen FROM {1} i"""
_ABOUT = """(respondent_id = ANY(${0}::text[]) OR email_fingerprint = ANY(${1}::bytea[])
OR phone_fingerprint = ANY(${1}::bytea[]))"""
# an index has the rare outcomes; of the others many are among the newest invitations
MOST_SCANNED = 20_000
_RARE = ("declined", "undeliverable", "withdrawn")
_IS_RARE = "outcome IN ('declined', 'undeliverable', 'withdrawn') AND outcome = $4"


async def newest(  # noqa: PLR0913 - the conditions of a search
    session: Session,
    *,
    limit: int,
    outcome: str | None,
    respondents: Sequence[str] | None,
    fingerprints: Sequence[bytes] = (),
    scope: StaffScope = WHOLE,
) -> list[asyncpg.Record]:
    """Return the newest invitations first: of these respondents and addresses or of all, with one outcome or any.

    `seen` says whether an invitation is in the scope. Without respondents all are, of the newest MOST_SCANNED.
    """
    values: list[object] = list(scope.arguments)
    conditions = []
    if outcome is not None:
        values.append(outcome)
        conditions.append(_IS_RARE if outcome in _RARE else "coalesce(outcome, state) = $4")
    if respondents is not None:
        conditions.append(_ABOUT.format(len(values) + 2, len(values) + 3))
        values += [respondents, list(fingerprints)]
    seen, where = _SEEN.format("$2", "$3"), " AND ".join(conditions) or "true"
    if scope.is_whole:
        sql = f"{_SUMMARY.format(seen, 'invitations')} WHERE {where} ORDER BY id DESC LIMIT $1"
    elif respondents is not None:
        sql = f"{_SUMMARY.format(seen, 'invitations')} WHERE {where} ORDER BY (({seen}) IS TRUE) DESC, id DESC LIMIT $1"
    else:
        newest_ones = f"(SELECT * FROM invitations WHERE {where} ORDER BY id DESC LIMIT {MOST_SCANNED})"  # noqa: S608 - our own conditions
        sql = f"{_SUMMARY.format(seen, newest_ones)} WHERE {seen} ORDER BY id DESC LIMIT $1"
    return await db.fetch(session, sql, limit, *values)


# a respondent of before the case of ids counted is meant only by the very id that the customer was sent with
_LINKABLE = """SELECT r.request::text FROM invitations i JOIN requests r USING (id)
WHERE i.state = 'open' AND i.expires_at > $3 AND (i.id = $1 OR i.respondent_id = ANY($2::text[])
    AND ($4 IN (i.respondent_id, i.request->>'customer_id') OR i.respondent_id = ($2::text[])[1]))
ORDER BY i.id DESC LIMIT 1"""


async def open_one(
    session: Session, *, invitation_id: UUID | None, customer: str | None, now: datetime
) -> SurveyRequested | None:
    """Return the request of this invitation, or of a customer's newest one, if it can still be answered."""
    ids = respondent_ids_like(customer) if customer else []
    rows = await db.fetch(session, _LINKABLE, invitation_id, ids, now, customer and customer.strip())
    return SurveyRequested.model_validate_json(rows[0]["request"]) if rows else None


_OPEN_IDS = """SELECT id FROM invitations
WHERE state = 'open' AND ($1::uuid IS NULL OR id > $1) AND created_at < clock_timestamp() - interval '10 minutes'
ORDER BY id LIMIT $2"""


async def open_ids(session: Session, *, after: UUID | None, limit: int) -> list[UUID]:
    """Return a page of open invitations, at least ten minutes old: every service has received their request by then."""
    return [row["id"] for row in await db.fetch(session, _OPEN_IDS, after, limit)]


async def requests(session: Session, ids: Collection[UUID]) -> list[SurveyRequested]:
    rows = await db.fetch(session, "SELECT request::text FROM requests WHERE id = ANY($1::uuid[])", list(ids))
    return [SurveyRequested.model_validate_json(row["request"]) for row in rows]


# --- invitations past retention: ids begin with the machine time at which they were made. One that has not expired
# stays: a repeat of its request would be sent again.

_IS_OLD = "id < $1 AND state = 'closed' AND expires_at <= clock_timestamp()"
_DELETE_OLD = f"""WITH old AS MATERIALIZED (
    SELECT id FROM invitations WHERE {_IS_OLD} ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM invitations i USING old WHERE i.id = old.id RETURNING 1"""  # noqa: S608 - a constant
_COUNT_OLD = f"SELECT count(*) AS n FROM invitations WHERE {_IS_OLD}"  # noqa: S608 - a constant


async def delete_old(session: Session, *, made_before: datetime, limit: int) -> int:
    """Delete the oldest closed invitations with all that belongs to them; return how many."""
    return len(await db.fetch(session, _DELETE_OLD, first_id(made_before), limit))


async def count_old(session: Session, *, made_before: datetime) -> int:
    return int((await db.fetch(session, _COUNT_OLD, first_id(made_before)))[0]["n"])


# --- outcomes received before their request

_EARLY = db.lock_number("dispatcher", "early")
_REMEMBER = """INSERT INTO early (invitation_id, outcome, at)
SELECT id, outcome, $3 FROM unnest($1::uuid[], $2::text[]) AS e (id, outcome)
ON CONFLICT (invitation_id) DO NOTHING"""
_TAKE = "DELETE FROM early WHERE invitation_id = ANY($1::uuid[]) RETURNING invitation_id, outcome"
_FORGET = "DELETE FROM early WHERE at < $1"


async def let_requests_finish(session: Session) -> None:
    """Wait for transactions that store requests, and block new ones until this transaction ends."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", _EARLY)


async def announce_requests(session: Session) -> None:
    """Mark this transaction as one that stores requests, for `let_requests_finish`."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock_shared($1)", _EARLY)


async def remember_early(session: Session, outcomes: Mapping[UUID, InvitationOutcome], *, at: datetime) -> None:
    await db.fetch(session, _REMEMBER, list(outcomes), list(outcomes.values()), at)


async def take_early(session: Session, ids: Collection[UUID]) -> dict[UUID, InvitationOutcome]:
    rows = await db.fetch(session, _TAKE, list(ids))
    return {row["invitation_id"]: InvitationOutcome(row["outcome"]) for row in rows}


async def forget_early(session: Session, *, before: datetime) -> None:
    await db.fetch(session, _FORGET, before)
