"""Transactional outbox: events are stored with the change they report, and a relay moves them to the event log.

Events are published at least once, in order per key. A caller must lock a row that belongs to the key before it adds
an event: otherwise two transactions may commit in another order than their outbox rows got ids.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared import crash, metrics
from shared.contract import cloudevents
from shared.contract.events import Payload
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.until_stopped import until_stopped
from shared.health import Heartbeat
from shared.messaging import codec, parking
from shared.messaging.relay_leadership import (
    LeaseLeadership,
    LockLeadership,
    RelayLeadership,
    Republish,
    republish_nothing,
)
from shared.messaging.transport import EventLog, Message, MessageTooLarge, TransportUnavailable

log = structlog.get_logger()

POLL_S, STANDBY_S = 0.25, 0.5


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


async def add(session: AsyncSession, events: Sequence[cloudevents.Event[Payload]]) -> None:
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


class Relay:
    """Moves one service's outbox to the event log. One relay works at a time; see `relay_leadership`."""

    def __init__(
        self,
        database: db.Database,
        event_log: EventLog,
        *,
        service: Service,
        heartbeat: Heartbeat | None = None,
        republish: Republish = republish_nothing,
    ) -> None:
        self._database = database
        self._log = event_log
        self._service = service
        self._heartbeat = heartbeat or Heartbeat(f"{service}.relay")
        self._wake = asyncio.Event()
        self._leadership: RelayLeadership = (
            LeaseLeadership(database, republish=republish)
            if database.options.pooled
            else LockLeadership(database, name=service, wake=self._wake)
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped, also across outages of the database or the log."""
        try:
            await until_stopped(self._round, stop, heartbeat=self._heartbeat, longest_s=STANDBY_S, wake=self._wake)
        finally:
            await self._leadership.release()

    async def _round(self) -> float:
        """Publish a batch if this relay is the leader; return the seconds until the next round."""
        try:
            rows = await self._leadership.next_rows()
            if rows is not None:
                metrics.OUTBOX_ROWS.labels(self._service).set(len(rows))
            if rows:
                await self._publish_batch(rows)
        except TransportUnavailable:
            raise  # this relay stays the leader
        except Exception:
            await self._leadership.release()
            raise
        return STANDBY_S if rows is None else 0.0 if rows else POLL_S

    async def _publish_batch(self, rows: Sequence[db.Row]) -> None:
        messages = [Message(row["topic"], row["key"], row["body"], json.loads(row["headers"])) for row in rows]
        if refused := await self._publish(messages):
            await self._park(refused)
        crash.point("published")
        await self._leadership.delete(rows)
        for message in messages:
            metrics.PUBLISHED.labels(self._service, message.topic).inc()

    async def _publish(self, messages: Sequence[Message]) -> list[Message]:
        """Append the messages, and return those that are too large for the log."""
        try:
            await self._log.append(messages)
        except MessageTooLarge:
            if len(messages) == 1:
                return list(messages)
            return [refused for message in messages for refused in await self._publish([message])]
        return []

    async def _park(self, messages: Sequence[Message]) -> None:
        log.error("relay.parked", topics=sorted({message.topic for message in messages}))
        metrics.PARKED.labels(self._service, "too_large").inc(len(messages))
        async with self._database.sessions.begin() as session:
            await parking.park(session, [(message, "larger than the event log takes") for message in messages])
