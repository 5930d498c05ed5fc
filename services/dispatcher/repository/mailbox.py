"""Messages that were kept instead of being sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from services.dispatcher.domain.steps import OutgoingMessage
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class MailboxMessage:
    """A message that was kept. The body is a mail with its headers, or the text of a text message.

    A test message has no invitation.
    """

    id: UUID
    cursor: int
    invitation_id: UUID | None
    step: int
    channel: ChannelKind
    recipient: str
    subject: str
    body: bytes
    at: datetime


_KEEP = """INSERT INTO mailbox (id, invitation_id, step, channel, recipient, subject, body, at)
SELECT id, invitation_id, step, channel, recipient, subject, body, $8
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bytea[])
    AS m (id, invitation_id, step, channel, recipient, subject, body)
ON CONFLICT DO NOTHING"""


async def keep(session: Session, messages: Sequence[OutgoingMessage], *, at: datetime) -> None:
    if not messages:
        return
    await db.fetch(
        session,
        _KEEP,
        [uuid7() for _ in messages],
        [message.invitation_id for message in messages],
        [message.step for message in messages],
        [message.channel for message in messages],
        [message.recipient for message in messages],
        [message.subject for message in messages],
        [message.body for message in messages],
        at,
    )


_KEEP_TEST = """WITH old AS (
    DELETE FROM mailbox WHERE invitation_id IS NULL AND at < $7::timestamptz - interval '30 days'
)
INSERT INTO mailbox (id, step, channel, recipient, subject, body, at) VALUES ($1, $2, $3, $4, $5, $6, $7)"""


async def keep_test(session: Session, message: OutgoingMessage, *, at: datetime) -> UUID:
    """Keep a test message for 30 days, and return its id; what is kept longer goes with the next one."""
    id_ = uuid7()
    await db.fetch(
        session,
        _KEEP_TEST,
        id_,
        message.step,
        message.channel,
        message.recipient,
        message.subject,
        message.body,
        at,
    )
    return id_


_COLUMNS = "id, cursor, invitation_id, step, channel, recipient, subject, body, at"
_AFTER = f"""SELECT {_COLUMNS} FROM mailbox WHERE cursor > $1 AND invitation_id IS NOT NULL
ORDER BY cursor LIMIT $2"""  # noqa: S608 - constants
_NEWEST = f"SELECT {_COLUMNS} FROM mailbox ORDER BY cursor DESC LIMIT $1"  # noqa: S608 - constants
_ONE = f"SELECT {_COLUMNS} FROM mailbox WHERE id = $1"  # noqa: S608 - constants
_WIPE = """DELETE FROM mailbox m USING invitations i
WHERE i.id = m.invitation_id AND i.respondent_id = ANY($1::text[])"""


def _kept(row: asyncpg.Record) -> MailboxMessage:
    return MailboxMessage(**{**row, "channel": ChannelKind(row["channel"])})


async def after(session: Session, cursor: int, *, limit: int) -> list[MailboxMessage]:
    """Return messages of surveys, without test messages."""
    return [_kept(row) for row in await db.fetch(session, _AFTER, cursor, limit)]


async def newest(session: Session, *, limit: int) -> list[MailboxMessage]:
    return [_kept(row) for row in await db.fetch(session, _NEWEST, limit)]


async def one(session: Session, message_id: UUID) -> MailboxMessage | None:
    rows = await db.fetch(session, _ONE, message_id)
    return _kept(rows[0]) if rows else None


async def wipe(session: Session, respondents: Collection[str]) -> None:
    await db.fetch(session, _WIPE, list(respondents))
