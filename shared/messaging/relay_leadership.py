"""Whose turn it is to move one service's outbox to the log: one relay works, the others stand by.

A session lock says so where a connection is one's own. Where the URL is pooled by transaction it is nobody's, so a row
is leased instead: its holder begins nothing in the last part of the lease, and what it finds to have written too late,
as after a pause of its process, is published again as it is now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db

log = structlog.get_logger()

BATCH = 1000
LEASE = timedelta(seconds=30)
SEND_BUDGET_S = 10.0

_NEXT = "SELECT id, topic, key, headers, body FROM outbox ORDER BY id LIMIT $1"
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_LEASE = """UPDATE leases l SET holder = $1, until = clock_timestamp() + $2
FROM (SELECT holder, until FROM leases WHERE name = 'relay' FOR UPDATE) AS before
WHERE l.name = 'relay' AND (before.holder IS NULL OR before.holder = $1 OR before.until < clock_timestamp())
RETURNING before.holder <> $1 AS taken_over"""
_STILL_OURS = """SELECT 1 FROM leases
WHERE name = 'relay' AND holder = $1 AND until > clock_timestamp() FOR UPDATE"""
_GIVE_BACK = "UPDATE leases SET holder = NULL WHERE name = 'relay' AND holder = $1"

Republish = Callable[[AsyncSession, Sequence[db.Row]], Awaitable[None]]
"""Publishes the newest state of what these rows of the outbox are about, where a topic keeps only the newest."""


def leases_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "leases",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", postgresql.UUID),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )


async def republish_nothing(_session: AsyncSession, _rows: Sequence[db.Row]) -> None:
    """Publish nothing again: no topic of this service keeps only the newest."""


class RelayLeadership(Protocol):
    """Takes rows while it is our turn; `done` forgets them once they are published."""

    async def next_rows(self) -> Sequence[db.Row] | None:
        """Return the next rows; None while it is another's turn."""

    async def delete(self, rows: Sequence[db.Row]) -> None: ...

    async def release(self) -> None: ...


class LockLeadership:
    """Ours while a connection of our own lives. It listens as well, and wakes the relay."""

    def __init__(self, database: db.Database, *, name: str, wake: asyncio.Event) -> None:
        self._database = database
        self._number = db.lock_number("relay", name)
        self._wake = wake
        self._connection: asyncpg.Connection | None = None
        self._holds = False

    async def next_rows(self) -> Sequence[db.Row] | None:
        if self._connection is None:
            self._connection = await self._database.open_unpooled()
        if not self._holds and not await self._lock(self._connection):
            return None
        rows: list[db.Row] = await self._connection.fetch(_NEXT, BATCH)
        return rows

    async def _lock(self, connection: asyncpg.Connection) -> bool:
        self._holds = await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._number)
        if self._holds:
            await connection.add_listener(f"outbox_{self._database.schema}", lambda *_: self._wake.set())
        return self._holds

    async def delete(self, rows: Sequence[db.Row]) -> None:
        if self._connection is not None:
            await self._connection.execute(_DELETE, [row["id"] for row in rows])

    async def release(self) -> None:
        connection, self._connection, self._holds = self._connection, None, False
        if connection is not None:
            await connection.close(timeout=1)


class LeaseLeadership:
    """Ours until the lease ends, by the database's clock; every batch renews it."""

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
            rows = await db.fetch(session, _NEXT, BATCH)
            if leased[0]["taken_over"]:
                log.warning("relay.took_over", rows=len(rows))
                await self._republish(session, rows)  # the other may have begun to publish these, and no others
        late = time.monotonic() - asked > LEASE.total_seconds() - SEND_BUDGET_S
        self._publishes = bool(rows) and not late
        return [] if late else rows

    async def delete(self, rows: Sequence[db.Row]) -> None:
        await self._forget(rows)
        self._publishes = False

    async def _forget(self, rows: Sequence[db.Row]) -> None:
        async with self._sessions.begin() as session:
            if await db.fetch(session, _STILL_OURS, self._holder):
                await db.fetch(session, _DELETE, [row["id"] for row in rows])
                return
            log.warning("relay.was_late", rows=len(rows))
            await self._republish(session, rows)

    async def release(self) -> None:
        """Give the lease back, unless something may still be on its way: then it runs out."""
        if self._publishes:
            return
        try:
            async with self._sessions.begin() as session:
                await db.fetch(session, _GIVE_BACK, self._holder)
        except Exception as error:
            if not db.is_transient(error):
                raise
