"""Messages that could not be handled, stored with the reason for 30 days; see `earshot parked list|replay`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from shared.database import db
from shared.database.isolated import storable
from shared.database.session import Session
from shared.messaging.transport import Message


def parked_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "parked",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        # offsets of a topic that was deleted and created again start from 0, so the position alone is not unique
        sa.Index("parked_once", "topic", "position", sa.text("md5(body)"), unique=True),
    )


@dataclass(frozen=True, slots=True)
class Parked:
    id: UUID
    message: Message
    reason: str
    parked_at: datetime


_PARK = """INSERT INTO parked (id, topic, position, key, headers, body, reason)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[])
ON CONFLICT DO NOTHING"""


async def park(session: Session, refused: Sequence[tuple[Message, str]]) -> None:
    """Store messages with the reason for each; the same message at the same position is stored once."""
    if not refused:
        return
    messages = [message for message, _ in refused]
    await db.fetch(
        session,
        _PARK,
        [uuid7() for _ in refused],
        [storable(message.topic) for message in messages],
        [storable(message.position) for message in messages],
        [storable(message.key) for message in messages],
        [_written(message.headers) for message in messages],
        [message.body for message in messages],
        [storable(reason) for _, reason in refused],
    )


def _written(headers: Mapping[str, str]) -> str:
    return json.dumps({storable(name): storable(value) for name, value in headers.items()})


def headers_of(written: str) -> dict[str, str]:
    """Parse stored headers; headers that an earlier version stored in another format are left out."""
    try:
        found: dict[str, str] = json.loads(written)
    except ValueError:
        return {}
    return found


_PARKED = """SELECT * FROM parked WHERE ($2::uuid IS NULL OR id > $2) AND ($3::uuid[] IS NULL OR id = ANY($3))
ORDER BY id LIMIT $1"""


async def list_parked(
    session: Session, *, limit: int = 100, after: UUID | None = None, ids: Collection[UUID] | None = None
) -> list[Parked]:
    """Return at most `limit` parked messages, oldest first, after the id `after`; with `ids`, only those."""
    return [_parked(row) for row in await db.fetch(session, _PARKED, limit, after, None if ids is None else list(ids))]


UNKNOWN_KEY = "link_key: {} is not in EARSHOT_LINK_KEYS"
# matches the codec's text for an unknown type, Pydantic's for an unknown value of an enum, literal or tagged union, and
# UNKNOWN_KEY
_UNKNOWN = """SELECT * FROM parked WHERE topic = ANY($1::text[]) AND ($2::uuid IS NULL OR id > $2)
AND reason LIKE ANY (ARRAY['type: % is not an event of this contract%', '%: Input should be ''%', '%: Input tag %',
    'link_key: % is not in EARSHOT_LINK_KEYS'])
ORDER BY id LIMIT $3"""


async def list_unknown(session: Session, topics: Sequence[str], *, after: UUID | None, limit: int) -> list[Parked]:
    """Return messages parked for an unknown type, value or link key, oldest first.

    They can be handled after an upgrade, or after a restart with that key.
    """
    return [_parked(row) for row in await db.fetch(session, _UNKNOWN, list(topics), after, limit)]


_WAITING = """SELECT substring(reason FROM '^link_key: (.*) is not in EARSHOT_LINK_KEYS$') AS key, count(*) AS count
FROM parked WHERE reason LIKE 'link_key: % is not in EARSHOT_LINK_KEYS' GROUP BY 1"""


async def count_waiting_for_keys(session: Session) -> dict[str, int]:
    """Count the parked messages that wait for each missing link key, by the id of the key."""
    return {row["key"]: row["count"] for row in await db.fetch(session, _WAITING)}


def _parked(row: db.Row) -> Parked:
    return Parked(
        id=row["id"],
        message=Message(row["topic"], row["key"], row["body"], headers_of(row["headers"]), row["position"]),
        reason=row["reason"],
        parked_at=row["parked_at"],
    )


async def claim(session: Session, parked_id: UUID) -> bool:
    """Delete a message that is handled in the same transaction; False when it is gone already."""
    return bool(await db.fetch(session, "DELETE FROM parked WHERE id = $1 RETURNING id", parked_id))


async def set_reason(session: Session, parked_id: UUID, reason: str) -> None:
    await db.fetch(session, "UPDATE parked SET reason = $2 WHERE id = $1", parked_id, reason)


async def delete(session: Session, ids: Sequence[UUID]) -> None:
    await db.fetch(session, "DELETE FROM parked WHERE id = ANY($1::uuid[])", list(ids))


async def delete_of(session: Session, keys: Collection[str], *, topics: Sequence[str]) -> None:
    """Delete parked messages of these keys and topics, as an erasure must: a replay would store their data again."""
    await db.fetch(
        session, "DELETE FROM parked WHERE topic = ANY($2::text[]) AND key = ANY($1::text[])", list(keys), list(topics)
    )


async def delete_old(session: Session) -> None:
    await db.fetch(session, "DELETE FROM parked WHERE parked_at < clock_timestamp() - interval '30 days'")
