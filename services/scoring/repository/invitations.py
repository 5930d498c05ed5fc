"""Invitations with their current answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import asyncpg
import msgspec

from services.scoring.domain.invitations import Content, Invitation, InvitationState, TriggerEvent
from services.scoring.repository import answers
from shared.contract.vocabulary import ChannelKind, Service
from shared.database import db
from shared.database.compact_rows import COMPACT
from shared.database.isolated import isolated
from shared.database.session import Session
from shared.messaging import codec

_ADD_CONTENTS = """INSERT INTO contents (digest, document, program_version, program_title, locale, time_zone,
program_zone) SELECT * FROM unnest($1::bytea[], $2::jsonb[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING"""
# a row that is not compact can be read by the version before
_ADD = f"""INSERT INTO invitations (id, fingerprint, respondent_id, customer_id, program, program_version,
program_title, locale, time_zone, program_zone, occasion, content, segments, dimensions, expires_at, invited_day,
counted, test, name, phone, offers, asked_id)
SELECT n.id, n.fingerprint, n.respondent_id, CASE WHEN NOT compact OR n.customer_id <> n.respondent_id
THEN n.customer_id END, n.program, wide.program_version, wide.program_title, wide.locale, wide.time_zone,
wide.program_zone, CASE WHEN compact THEN n.occasion ELSE n.named_occasion END, n.content,
CASE WHEN NOT compact OR n.segments <> n.dimensions - 'version' THEN n.segments END, n.dimensions, n.expires_at,
n.invited_day, n.counted, NOT n.counted, n.name, n.phone, n.offers, n.asked_id
FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::bytea[],
$9::jsonb[], $10::jsonb[], $11::timestamptz[], $12::date[], $13::boolean[], $14::text[], $15::text[],
$16::jsonb[], $17::text[])
AS n (id, fingerprint, respondent_id, customer_id, program, occasion, named_occasion, content, segments, dimensions,
expires_at, invited_day, counted, name, phone, offers, asked_id)
CROSS JOIN LATERAL {COMPACT} AS format (compact)
LEFT JOIN contents wide ON wide.digest = n.content AND NOT compact
ORDER BY n.id ON CONFLICT DO NOTHING RETURNING id"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class LinkedInvitation:
    """A new invitation with the hash of its link's token; the token itself is not stored.

    `offers` are the channels over which its customer allows offers.
    """

    invitation: Invitation
    fingerprint: bytes
    offers: Sequence[ChannelKind] = ()


async def add(session: Session, new: Sequence[LinkedInvitation]) -> set[UUID]:
    """Insert the invitations that are not stored yet; return their ids."""
    if not new:
        return set()
    each = [linked.invitation for linked in new]
    shared = [_shared(invitation) for invitation in each]
    unique = sorted(set(shared))  # in one order everywhere, or inserts deadlock
    await db.fetch(session, _ADD_CONTENTS, *(list(column) for column in zip(*unique, strict=True)))
    rows = await db.fetch(
        session,
        _ADD,
        [invitation.id for invitation in each],
        [linked.fingerprint for linked in new],
        [invitation.respondent_id for invitation in each],
        [invitation.customer_id for invitation in each],
        [invitation.program for invitation in each],
        [msgspec.json.encode(_unnamed(invitation.occasion)).decode() for invitation in each],
        [msgspec.json.encode(invitation.occasion).decode() for invitation in each],
        [digest for digest, *_ in shared],
        [json.dumps(dict(invitation.segments)) for invitation in each],
        [json.dumps(dict(invitation.dimensions)) for invitation in each],
        [invitation.expires_at for invitation in each],
        [invitation.invited_day for invitation in each],
        [invitation.counted for invitation in each],  # a new invitation is not counted only when it is a test
        [invitation.name for invitation in each],
        [invitation.phone for invitation in each],
        [_array(linked.offers) for linked in new],
        [invitation.asked_id for invitation in each],
    )
    return {row["id"] for row in rows}


def _array(channels: Sequence[ChannelKind]) -> str | None:
    return json.dumps(channels) if channels else None


_Shared = tuple[bytes, str, int, str, str, str, str]


def _shared(invitation: Invitation) -> _Shared:
    """Return the row of `contents` that this invitation shares with others."""
    content = codec.encode_part(invitation.content)
    row = (
        content.decode(),
        invitation.program_version,
        invitation.program_title,
        invitation.locale,
        invitation.time_zone,
        invitation.program_zone,
    )
    return hashlib.sha256(msgspec.json.encode(row)).digest()[:16], *row


_LOCK = """SELECT id FROM invitations WHERE id = ANY($1::uuid[]) OR respondent_id = ANY($2::text[])
OR asked_id = ANY($2::text[]) ORDER BY id FOR UPDATE"""
COLUMNS = """i.id, i.respondent_id, i.customer_id, i.program, i.program_version, i.program_title, i.locale,
i.time_zone, i.program_zone, i.occasion::text, i.content, i.segments::text, i.dimensions::text, i.expires_at,
i.invited_day, i.state, i.opted_out_at, i.counted, i.name, i.phone, i.asked_id, a.answer_id, a.version, a.score,
a.reasons, a.comment, a.extra, a.mode, a.step, a.channel, a.suspect, a.answered_at, a.first_day, a.device,
a.callback_wanted, CASE WHEN i.content IS DISTINCT FROM lag(i.content) OVER () THEN i.document::text END AS document"""
JOIN = "LEFT JOIN answers a ON a.invitation_id = i.id"
_LOAD = f"SELECT {COLUMNS} FROM invitation_details i {JOIN} WHERE i.id = ANY($1::uuid[])"  # noqa: S608 - column names only


async def lock(session: Session, ids: Iterable[UUID], *, respondents: Sequence[str] = ()) -> list[UUID]:
    """Lock invitations, by id or by respondent, until the end of the transaction; return the ids found."""
    return [row["id"] for row in await db.fetch(session, _LOCK, list(set(ids)), list(respondents))]


async def lock_and_load(session: Session, ids: Iterable[UUID]) -> dict[UUID, Invitation]:
    """Lock and load invitations; one that another transaction commits after the lock statement is left out."""
    return await load(session, await lock(session, ids))


async def load(session: Session, ids: Iterable[UUID]) -> dict[UUID, Invitation]:
    rows = await db.fetch(session, _LOAD, list(set(ids)))
    return {each.id: each for each in of_rows(rows)}


async def load_readable(session: Session, ids: Iterable[UUID]) -> dict[UUID, Invitation]:
    """Load invitations; one that cannot be read, such as one written by another release, is logged and left out."""
    rows = await db.fetch(session, _LOAD, list(set(ids)))
    documents, found = _documents(rows), dict[UUID, Invitation]()
    for row in rows:
        with isolated("stored_invitation", service=Service.SCORING, invitation_id=str(row["id"])):
            found[row["id"]] = _invitation(row, _content(documents[row["content"]]))
    return found


class _Unnamed(TriggerEvent, frozen=True, array_like=True):
    """A trigger event as it is stored: an array of its fields. Rows that are not compact have an object."""


def _unnamed(event: TriggerEvent) -> _Unnamed:
    return _Unnamed(*msgspec.structs.astuple(event))


_named_event = msgspec.json.Decoder(TriggerEvent).decode
_unnamed_event = msgspec.json.Decoder(_Unnamed).decode


def trigger_event(stored: str) -> TriggerEvent:
    """Read the event of an invitation; raises msgspec.ValidationError."""
    return _unnamed_event(stored) if stored.startswith("[") else _named_event(stored)


# cached, because many rows share these texts and parsing them takes most of the time
_content: Callable[[str], Content] = lru_cache(maxsize=2000)(Content.model_validate_json)
_mapping: Callable[[str], Mapping[str, str]] = lru_cache(maxsize=2000)(json.loads)


def of_rows(rows: Sequence[asyncpg.Record]) -> list[Invitation]:
    contents = {digest: _content(document) for digest, document in _documents(rows).items()}
    return [_invitation(row, contents[row["content"]]) for row in rows]


def _documents(rows: Sequence[asyncpg.Record]) -> dict[bytes, str]:
    """Return the documents of the rows' contents; they are selected only where they differ from the row before."""
    return {row["content"]: row["document"] for row in rows if row["document"]}


def _invitation(row: asyncpg.Record, content: Content) -> Invitation:
    return Invitation(
        id=row["id"],
        respondent_id=row["respondent_id"],
        customer_id=row["customer_id"],
        program=row["program"],
        program_version=row["program_version"],
        program_title=row["program_title"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        program_zone=row["program_zone"],
        occasion=trigger_event(row["occasion"]),
        content=content,
        segments=_mapping(row["segments"]),
        dimensions=_mapping(row["dimensions"]),
        expires_at=row["expires_at"],
        invited_day=row["invited_day"],
        state=InvitationState(row["state"]),
        opted_out=row["opted_out_at"] is not None,
        counted=row["counted"],
        answer=answers.of_row(row) if row["answer_id"] is not None else None,
        name=row["name"],
        phone=row["phone"],
        asked_id=row["asked_id"],
    )


async def known(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    return {row["id"] for row in await db.fetch(session, "SELECT id FROM invitations WHERE id = ANY($1)", list(ids))}


async def change_offers(session: Session, changes: Mapping[str, Sequence[ChannelKind]]) -> None:
    """Set the channels over which these respondents allow offers, in their open invitations."""
    sql = """UPDATE invitations i SET offers = c.offers FROM unnest($1::text[], $2::jsonb[]) AS c (respondent, offers)
WHERE i.respondent_id = c.respondent AND i.state = 'open'"""
    await db.fetch(session, sql, list(changes), [_array(channels) for channels in changes.values()])


async def offers(session: Session, invitation_id: UUID) -> list[ChannelKind]:
    """Return the channels over which the customer of an invitation allows offers."""
    rows = await db.fetch(session, "SELECT offers FROM invitations WHERE id = $1", invitation_id)
    return [ChannelKind(channel) for row in rows for channel in row["offers"] or ()]


async def opt_out(session: Session, invitation_id: UUID, *, now: datetime) -> bool:
    """Store the opt-out; False when it was stored within the last minute.

    After that it counts again: the respondent may have taken it back, and dispatcher's event is yet to come.
    """
    sql = """UPDATE invitations SET opted_out_at = $2 WHERE id = $1
AND (opted_out_at IS NULL OR opted_out_at < $2::timestamptz - interval '1 minute') RETURNING id"""
    return bool(await db.fetch(session, sql, invitation_id, now))


async def take_back_opt_outs(session: Session, taken_back: Mapping[str, datetime]) -> None:
    """Forget that respondents opted out before they took it back at these times."""
    sql = """UPDATE invitations i SET opted_out_at = NULL
FROM unnest($1::text[], $2::timestamptz[]) AS t (respondent, at)
WHERE (i.respondent_id = t.respondent OR i.asked_id = t.respondent) AND i.opted_out_at <= t.at"""
    if taken_back:
        await db.fetch(session, sql, list(taken_back), list(taken_back.values()))
