"""Leader election among a service's relays: the leader moves the outbox to the event log, the others stand by.

The leader holds a session-level advisory lock. Behind a pooler in transaction mode there are no sessions, so the leader
holds a lease instead: a row with an end time. It starts no batch in the last SEND_BUDGET_S seconds of its lease. If it
published rows after its lease had ended, because its process was paused, `republish` publishes the newest state of
their keys again.

Deletions do not wait for the disk. Rows whose deletion a crash of the server undoes are the last ones that were
published; they are published again in their order, as after a crash of the relay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql

from shared.database import db
from shared.database.session import Session
from shared.database.until_stopped import IDLE_S
from shared.messaging.transport import Message, packing

log = structlog.get_logger()

BATCH = 1000
LEASE = timedelta(seconds=30)
POLL_S = 0.25  # until a leader that nothing wakes looks for rows again
SEND_BUDGET_S = 10.0

SETTLE_AFTER = 3  # polls until the floor of the outbox may be raised again

# the rows that begin within the next $1 messages
_NEXT = """SELECT id, topic, key, headers, body, packed FROM (
    SELECT *, sum(coalesce(packed, 1)) OVER (ORDER BY id) - coalesce(packed, 1) AS before FROM (
        SELECT id, topic, key, headers, body, packed FROM outbox WHERE id > $2 ORDER BY id LIMIT $1
    ) AS next
) AS counted WHERE before < $1 ORDER BY id"""
_WRITERS = """SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE relation = 'outbox'::regclass AND mode = 'RowExclusiveLock'"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_LEASE = """UPDATE leases l SET holder = $1, until = clock_timestamp() + $2
FROM (SELECT holder, until FROM leases WHERE name = 'relay' FOR UPDATE) AS before
WHERE l.name = 'relay' AND (before.holder IS NULL OR before.holder = $1 OR before.until < clock_timestamp())
RETURNING before.holder <> $1 AS taken_over"""
_STILL_OURS = """SELECT 1 FROM leases
WHERE name = 'relay' AND holder = $1 AND until > clock_timestamp() FOR UPDATE"""
_GIVE_BACK = "UPDATE leases SET holder = NULL WHERE name = 'relay' AND holder = $1"

Republish = Callable[[Session, Sequence[Message]], Awaitable[None]]
"""Publishes the newest state of the keys of these messages, for compacted topics."""


def messages_in(rows: Iterable[packing.StoredRow]) -> list[Message]:
    """Return the messages of outbox rows, in order."""
    return [message for row in rows for message in packing.messages_of(row["topic"], row)]


def leases_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "leases",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", postgresql.UUID),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )


@dataclass(slots=True)
class OutboxReader:
    """Reads the outbox over one connection, above an id that no later row can have: the floor.

    Below it are deleted rows, whose index entries stay until a vacuum, and as long as any transaction has a snapshot
    from before the deletion; without a floor, each poll reads all of them. Ids become visible out of order, but a
    transaction that adds rows locks the table until it ends. So when those that held the lock after an id was read
    have ended, rows with smaller ids are visible or were rolled back.
    """

    connection: asyncpg.Connection
    floor: int = 0
    _settled: int = 0  # rows up to this id are visible to every later statement
    _highest: int = 0  # id that was read
    _candidate: int = 0  # becomes settled when `_writers` have ended
    _writers: frozenset[str] = frozenset()
    _polls: int = 0

    async def next_rows(self) -> Sequence[db.Row]:
        """Return the rows with the lowest ids, those that begin within the first BATCH messages."""
        rows: list[db.Row] = await self.connection.fetch(_NEXT, BATCH, self.floor)
        self.floor = min(self._settled, rows[0]["id"] - 1) if rows else self._settled
        self._highest = max(self._highest, rows[-1]["id"]) if rows else self._highest
        self._polls += 1
        if self._polls >= SETTLE_AFTER and self._settled < self._highest:
            await self._settle()
        return rows

    async def _settle(self) -> None:
        writers = frozenset(row["virtualtransaction"] for row in await self.connection.fetch(_WRITERS))
        if not self._writers & writers:
            self._settled, self._candidate = self._candidate, self._highest
            self._writers, self._polls = writers, 0


async def republish_nothing(_session: Session, _messages: Sequence[Message]) -> None:
    """For services without compacted topics."""


class RelayLeadership(Protocol):
    """Reads outbox rows while this relay is the leader, and deletes them once they are published.

    `idle_s` is after how many seconds a leader without rows looks again.
    """

    idle_s: float

    async def next_rows(self) -> Sequence[db.Row] | None:
        """Return the next rows; None while another relay is the leader."""

    async def delete(self, rows: Sequence[db.Row]) -> None: ...

    async def release(self) -> None: ...


class LockLeadership:
    """Is the leader while its connection holds the lock.

    The connection also listens for new rows. They set `wake`, and so does the end of the connection.
    """

    idle_s = IDLE_S

    def __init__(self, database: db.Database, *, name: str, wake: asyncio.Event) -> None:
        self._database = database
        self._number = db.lock_number("relay", name)
        self._wake = wake
        self._reader: OutboxReader | None = None
        self._holds = False

    async def next_rows(self) -> Sequence[db.Row] | None:
        if self._reader is None:
            self._reader = OutboxReader(await self._database.open_unpooled())
            self._reader.connection.add_termination_listener(lambda *_: self._wake.set())
            await self._reader.connection.execute("SET synchronous_commit = off")
        if not self._holds and not await self._lock(self._reader.connection):
            return None
        return await self._reader.next_rows()

    async def _lock(self, connection: asyncpg.Connection) -> bool:
        self._holds = await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._number)
        if self._holds:
            await connection.add_listener(f"outbox_{self._database.schema}", lambda *_: self._wake.set())
        return self._holds

    async def delete(self, rows: Sequence[db.Row]) -> None:
        if self._reader is not None:
            await self._reader.connection.execute(_DELETE, [row["id"] for row in rows])

    async def release(self) -> None:
        reader, self._reader, self._holds = self._reader, None, False
        if reader is not None:
            await reader.connection.close(timeout=1)


class LeaseLeadership:
    """Is the leader until its lease ends by the database's clock; every call of `next_rows` renews the lease."""

    idle_s = POLL_S

    def __init__(self, database: db.Database, *, republish: Republish) -> None:
        self._sessions = database.sessions
        self._republish = republish
        self._holder = uuid4()
        self._publishes = False

    async def next_rows(self) -> Sequence[db.Row] | None:
        asked = time.monotonic()
        async with self._sessions.begin() as session:
            leased = await db.fetch(session, _LEASE, self._holder, LEASE)
            if not leased:
                return None
            rows = await db.fetch(session, _NEXT, BATCH, 0)
            if leased[0]["taken_over"]:
                log.warning("relay.took_over", rows=len(rows))
                await self._republish(session, messages_in(rows))  # the previous leader published at most these
        late = time.monotonic() - asked > LEASE.total_seconds() - SEND_BUDGET_S
        self._publishes = bool(rows) and not late
        return [] if late else rows

    async def delete(self, rows: Sequence[db.Row]) -> None:
        await self._delete_or_republish(rows)
        self._publishes = False

    async def _delete_or_republish(self, rows: Sequence[db.Row]) -> None:
        async with self._sessions.begin() as session:
            if await db.fetch(session, _STILL_OURS, self._holder):
                await db.commit_without_waiting(session)
                await db.fetch(session, _DELETE, [row["id"] for row in rows])
                return
            log.warning("relay.was_late", rows=len(rows))
            await self._republish(session, messages_in(rows))

    async def release(self) -> None:
        """End the lease; if a batch may still be on its way to the log, keep the lease until it runs out."""
        if self._publishes:
            return
        try:
            async with self._sessions.begin() as session:
                await db.fetch(session, _GIVE_BACK, self._holder)
        except Exception as error:
            if not db.is_transient(error):
                raise
