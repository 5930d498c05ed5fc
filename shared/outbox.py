"""Publish if and only if the state change committed: a row beside the change, and a relay that moves rows to the log.

At least once, in order per key: lock the key's row before adding its event, or two transactions may commit in the
other order than their rows were numbered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import asyncpg
import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared import cloudevents, crash, db, metrics, parking
from shared.events import Payload
from shared.health import Heartbeat
from shared.transport import EventLog, Message, MessageTooLarge, TransportUnavailable
from shared.until_stopped import until_stopped
from shared.vocabulary import Service

log = structlog.get_logger()

BATCH = 1000
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
    """Write events beside the change they tell of; the relay is woken when the transaction commits."""
    await db.write(session, adding([cloudevents.encode(event) for event in events]))


def adding(messages: Sequence[Message]) -> db.Write | None:
    """Say how to write messages beside the change they tell of; what else is written reads them in `added`."""
    if not messages:
        return None
    columns = (
        [message.topic for message in messages],
        [message.key for message in messages],
        [msgspec.json.encode(message.headers).decode() for message in messages],
        [message.body for message in messages],
    )
    return db.Write(_ADD, columns, then=_WAKE)


_NEXT = "SELECT id, topic, key, headers, body FROM outbox ORDER BY id LIMIT $1"


class Relay:
    """Moves one service's outbox to the log. One at a time works, by a session lock; others stand by."""

    def __init__(
        self, database: db.Database, event_log: EventLog, *, service: Service, heartbeat: Heartbeat | None = None
    ) -> None:
        self._database = database
        self._log = event_log
        self._service = service
        self._heartbeat = heartbeat or Heartbeat(f"{service}.relay")
        self._connection: asyncpg.Connection | None = None
        self._holds = False
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop; outages of the database or the log are waited out."""
        try:
            await until_stopped(self._round, stop, heartbeat=self._heartbeat, longest_s=STANDBY_S, wake=self._wake)
        finally:
            await self._let_go()

    async def _round(self) -> float:
        """Publish a batch, once the lock is held; say when to come again."""
        try:
            if self._connection is None:
                self._connection = await self._database.own_connection()
            if not self._holds and not await self._lock(self._connection):
                return STANDBY_S
            return 0.0 if await self._publish_batch(self._connection) else POLL_S
        except TransportUnavailable:
            raise  # the lock stays ours
        except Exception:
            await self._let_go()
            raise

    async def _lock(self, connection: asyncpg.Connection) -> bool:
        number = db.lock_number("relay", self._service)
        self._holds = await connection.fetchval("SELECT pg_try_advisory_lock($1)", number)
        if self._holds:
            await connection.add_listener(f"outbox_{self._database.schema}", lambda *_: self._wake.set())
        return self._holds

    async def _let_go(self) -> None:
        connection, self._connection, self._holds = self._connection, None, False
        if connection is not None:
            await connection.close(timeout=1)

    async def _publish_batch(self, connection: asyncpg.Connection) -> bool:
        rows = await connection.fetch(_NEXT, BATCH)
        metrics.OUTBOX_ROWS.labels(self._service).set(len(rows))
        if not rows:
            return False
        messages = [Message(row["topic"], row["key"], row["body"], json.loads(row["headers"])) for row in rows]
        if refused := await self._publish(messages):
            await self._park(refused)
        crash.point("published")
        await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
        for message in messages:
            metrics.PUBLISHED.labels(self._service, message.topic).inc()
        return True

    async def _publish(self, messages: Sequence[Message]) -> list[Message]:
        """Append, and return the messages the log will never take."""
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
