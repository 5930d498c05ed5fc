"""What respondents wrote back, kept until somebody has read it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.domain.replies import Reply
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.isolated import storable
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class KeptReply:
    id: UUID
    channel: ChannelKind
    invitation_id: UUID | None
    customer_id: str | None
    sender: str
    subject: str
    text: str
    asks: ReceiptKind | None
    at: datetime
    read_at: datetime | None


_KEEP = """INSERT INTO replies (id, provider, key, channel, invitation_id, sender, subject, text, asks, at)
SELECT r.id, r.provider, r.key, r.channel, coalesce(
    (SELECT i.id FROM invitations i WHERE i.id = r.invitation_id),
    (SELECT a.invitation_id FROM attempts a WHERE a.phone = r.phone ORDER BY a.at DESC, a.id DESC LIMIT 1)
), r.sender, r.subject, r.text, r.asks, r.at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bytea[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[])
    AS r (id, provider, key, channel, invitation_id, phone, sender, subject, text, asks, at)
ON CONFLICT DO NOTHING"""


async def keep(session: Session, found: Sequence[Reply]) -> None:
    """Keep replies with their invitation, if it is known; those kept before are ignored."""
    if not found:
        return
    await db.fetch(
        session,
        _KEEP,
        [uuid7() for _ in found],
        [each.provider for each in found],
        [storable(each.key) for each in found],
        [each.channel for each in found],
        [each.reference and each.reference.invitation_id for each in found],
        [each.phone for each in found],
        [storable(each.sender) for each in found],
        [storable(each.subject) for each in found],
        [storable(each.text) for each in found],
        [each.asks for each in found],
        [each.at for each in found],
    )


_NEWEST = """SELECT r.id, r.channel, r.invitation_id,
    coalesce(i.request->>'customer_id', i.respondent_id) AS customer_id,
    r.sender, r.subject, r.text, r.asks, r.at, r.read_at
FROM replies r LEFT JOIN invitations i ON i.id = r.invitation_id
WHERE $2 OR r.read_at IS NULL ORDER BY r.id DESC LIMIT $1"""
_MARK = "UPDATE replies SET read_at = clock_timestamp() WHERE id = $1 AND read_at IS NULL RETURNING id"
_UNMARK = "UPDATE replies SET read_at = NULL WHERE id = $1 AND read_at IS NOT NULL RETURNING id"
_FORGET = "DELETE FROM replies WHERE stored_at < clock_timestamp() - $1::interval"
_WIPE = """DELETE FROM replies r USING invitations i WHERE i.respondent_id = ANY($1::text[]) AND (
    r.invitation_id = i.id OR r.sender = lower(trim(i.request #>> '{contact,email}'))
    OR r.sender = i.request #>> '{contact,phone}')"""


async def newest(session: Session, *, limit: int, also_read: bool) -> list[KeptReply]:
    return [
        KeptReply(
            **{
                **row,
                "channel": ChannelKind(row["channel"]),
                "asks": ReceiptKind(row["asks"]) if row["asks"] else None,
            }
        )
        for row in await db.fetch(session, _NEWEST, limit, also_read)
    ]


async def mark_read(session: Session, reply_id: UUID) -> bool:
    """Mark a reply as read; returns whether it was unread."""
    return bool(await db.fetch(session, _MARK, reply_id))


async def mark_unread(session: Session, reply_id: UUID) -> bool:
    """Mark a reply as unread; returns whether it was read."""
    return bool(await db.fetch(session, _UNMARK, reply_id))


async def forget_old(session: Session, *, kept: timedelta) -> None:
    await db.fetch(session, _FORGET, kept)


async def wipe(session: Session, respondents: Collection[str]) -> None:
    """Delete the replies to invitations of respondents, and those from their addresses."""
    await db.fetch(session, _WIPE, list(respondents))
