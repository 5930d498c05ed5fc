"""Transactional outbox: events are stored with the change they report, and a relay moves them to the event log.

Events are published at least once, in order per key. A caller must lock a row that belongs to the key before it adds
an event: otherwise two transactions may commit in another order than their outbox rows got ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from shared.contract import cloudevents
from shared.database import compact_rows, db
from shared.database.session import Session
from shared.messaging import codec
from shared.messaging.transport import Message, packing


def outbox_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "outbox",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("packed", sa.SmallInteger),  # how many messages the body has, see `transport/packing.py`
    )


_ADD = """added AS (INSERT INTO outbox (topic, key, headers, body, packed)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::smallint[]) RETURNING id, body)"""
_WAKE = "pg_notify('outbox_' || current_schema(), '')"


async def add(session: Session, events: Sequence[cloudevents.Event[cloudevents.EventPayload]]) -> None:
    """Store events in the transaction of the change they report; the relay is notified when it commits."""
    await db.write(session, await packed_statement(session, events))


async def packed_statement(
    session: Session, events: Sequence[cloudevents.Event[cloudevents.EventPayload]]
) -> db.Write | None:
    """Return a CTE for `db.write` that stores events, packed where every relay can read that; None without events."""
    pack = len(events) > 1 and await compact_rows.are_on(session)
    return _statement(packing.rows_of([codec.encode(event) for event in events], pack=pack))


def add_statement(messages: Sequence[Message]) -> db.Write | None:
    """Return the CTE `added` for `db.write`, which stores messages; other CTEs can select `id` and `body` from it.

    Returns None when there are no messages.
    """
    return _statement(packing.rows_of(messages, pack=False))


def _statement(rows: Sequence[packing.MessageRow]) -> db.Write | None:
    return db.Write(_ADD, tuple(zip(*rows, strict=True)), then=_WAKE) if rows else None
