"""Transactional outbox: events are stored with the change they report, and a relay moves them to the event log.

Events are published at least once, in order per key. A caller must lock a row that belongs to the key before it adds
an event: otherwise two transactions may commit in another order than their outbox rows got ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract import cloudevents
from shared.database import db
from shared.messaging import codec
from shared.messaging.transport import Message


def outbox_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "outbox",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


_ADD = """added AS (INSERT INTO outbox (topic, key, headers, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) RETURNING id, body)"""
_WAKE = "pg_notify('outbox_' || current_schema(), '')"


async def add(session: AsyncSession, events: Sequence[cloudevents.Event[cloudevents.EventPayload]]) -> None:
    """Store events in the transaction of the change they report; the relay is notified when it commits."""
    await db.write(session, add_statement([codec.encode(event) for event in events]))


def add_statement(messages: Sequence[Message]) -> db.Write | None:
    """Return the CTE `added` for `db.write`, which stores messages; other CTEs can select `id` and `body` from it.

    Returns None when there are no messages.
    """
    if not messages:
        return None
    columns = (
        [message.topic for message in messages],
        [message.key for message in messages],
        [msgspec.json.encode(message.headers).decode() for message in messages],
        [message.body for message in messages],
    )
    return db.Write(_ADD, columns, then=_WAKE)
