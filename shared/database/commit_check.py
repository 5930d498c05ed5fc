"""Checks that a database commits: without its synchronous standby, COMMIT hangs while every SELECT still works."""

from __future__ import annotations

import asyncio

import asyncpg

from shared.database import db
from shared.database.db import Database
from shared.health import NotReady

WITHIN_S = 3.0
# writes to the write-ahead log and to no table: a transaction that wrote nothing would not wait for its standby
_COMMIT = "SELECT pg_logical_emit_message(true, 'earshot', 'ready')"


async def check_commit(database: Database) -> None:
    """Commit once, over a connection outside the pool; raises NotReady."""
    try:
        async with asyncio.timeout(WITHIN_S):
            connection = await database.connect()
    except TimeoutError:
        raise NotReady(f"accepts no connection within {WITHIN_S:g} s") from None
    except asyncpg.TooManyConnectionsError:
        await _commit_pooled(database)
        return
    try:
        await commit_once(connection)
    finally:
        await connection.close(timeout=1)


async def commit_once(connection: asyncpg.Connection) -> None:
    """Commit over this connection; raises NotReady when it takes longer than WITHIN_S seconds."""
    try:
        # asyncpg's timeout cancels the statement in the server; closing the socket would leave the backend waiting
        await connection.execute(_COMMIT, timeout=WITHIN_S)
    except TimeoutError:
        raise NotReady(_LATE) from None


async def _commit_pooled(database: Database) -> None:
    """Commit over a connection of the pool, because the server accepts no new connection; raises NotReady."""
    try:
        async with asyncio.timeout(WITHIN_S), database.sessions.begin() as session:
            await db.fetch(session, _COMMIT)
    except TimeoutError:
        raise NotReady(_LATE) from None


_LATE = f"does not commit within {WITHIN_S:g} s"
