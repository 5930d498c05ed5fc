"""A cancellation may come at any await: what returned is stored, and no connection is left in a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest
import sqlalchemy as sa

from shared import db
from tests.cancellation import cancelled_at_every_turn


@pytest.fixture
async def database(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    one_connection = db.Database(urls["scoring"], schema="scoring", pool_size=1)
    yield one_connection
    await one_connection.close()


@pytest.fixture
async def outside(database: db.Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    await connection.execute("CREATE TABLE kept (turn int)")
    yield connection
    await connection.close()


async def test_cancelled_transaction_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(turn: int) -> int:
        async with database.sessions.begin() as session:
            await db.fetch(session, "INSERT INTO kept VALUES ($1)", turn)
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))


async def _is_kept(outside: asyncpg.Connection, turn: int) -> None:
    assert await outside.fetchval("SELECT count(*) FROM kept WHERE turn = $1", turn) == 1


async def test_cancelled_read_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(_: int) -> None:
        async with database.sessions() as session:
            await db.fetch(session, "SELECT turn FROM kept FOR UPDATE")

    async def kept(_: int, __: None) -> None:
        assert await outside.fetch("SELECT turn FROM kept FOR UPDATE NOWAIT") == []

    await cancelled_at_every_turn(work, database=database, kept=kept)


async def test_cancelled_commit_of_a_session_poisons_no_connection(
    database: db.Database, outside: asyncpg.Connection
) -> None:
    async def work(turn: int) -> int:
        async with database.sessions() as session:
            await session.execute(sa.text("INSERT INTO kept VALUES (:turn)"), {"turn": turn})
            await db.fetch(session, "SELECT pg_advisory_xact_lock(7)")
            await session.commit()
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))


async def test_cancelled_savepoint_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(turn: int) -> int:
        async with database.sessions.begin() as session:
            await db.fetch(session, "INSERT INTO kept VALUES ($1)", turn)
            async with session.begin_nested() as inner:
                await db.fetch(session, "INSERT INTO kept VALUES ($1)", turn)
                await inner.rollback()
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))
