"""The pool of a Database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import asyncpg
import pytest

from shared import metrics
from shared.database import db
from shared.database.session import Session
from shared.database.transactions import NotCommitted


@pytest.fixture
async def one_connection(urls: Mapping[str, str]) -> db.Database:
    return db.Database(urls["scoring"], schema="scoring", pool_size=1)


async def _process(database: db.Database) -> int:
    async with database.sessions.begin() as session:
        number: int = (await db.fetch(session, "SELECT pg_backend_pid()"))[0][0]
    return number


async def test_connection_closed_while_idle_is_replaced(one_connection: db.Database) -> None:
    before = await _process(one_connection)
    other = await one_connection.connect()
    pooled = await one_connection.engine.raw_connection()
    closed = asyncio.Event()
    driver = cast("asyncpg.Connection", pooled.driver_connection)
    driver.add_termination_listener(lambda _connection: closed.set())
    pooled.close()
    await other.execute("SELECT pg_terminate_backend($1)", before)
    async with asyncio.timeout(5):
        await closed.wait()
    assert await _process(one_connection) != before
    await other.close()
    await one_connection.close()


async def test_transactions_one_after_the_other_use_the_same_connection(scoring_db: db.Database) -> None:
    async with scoring_db.sessions.begin() as one, scoring_db.sessions.begin() as other:
        opened = {(await db.fetch(session, "SELECT pg_backend_pid()"))[0][0] for session in (one, other)}
    assert len(opened) == 2
    assert len({await _process(scoring_db) for _ in range(6)}) == 1


async def test_every_transaction_of_a_session_begins_and_ends_by_itself(one_connection: db.Database) -> None:
    async with one_connection.sessions() as session:
        await db.fetch(session, "CREATE TABLE twice (one int)")
        await session.commit()
        await db.fetch(session, "INSERT INTO twice VALUES (1)")
        await session.rollback()
        assert await db.fetch(session, "SELECT one FROM twice") == []


async def test_actions_after_commit_are_done_for_what_was_committed(one_connection: db.Database) -> None:
    done = list[str]()
    async with one_connection.sessions() as session:
        session.after_commit(lambda: done.append("rolled back"))
        await session.rollback()
        session.after_commit(lambda: done.append("lost"))
        (await session.driver()).terminate()
        with pytest.raises(asyncpg.InterfaceError):
            await session.commit()
        session.after_commit(lambda: done.append("committed"))
        await db.fetch(session, "SELECT 1")
        assert done == []
        await session.commit()
        await session.commit()
    assert done == ["committed"]
    await one_connection.close()


async def test_session_without_an_open_transaction_holds_no_connection(one_connection: db.Database) -> None:
    async with one_connection.sessions.begin() as session:
        await db.fetch(session, "SELECT 1")
        await session.commit()
        assert await _process(one_connection)
        await db.fetch(session, "SELECT 1")
        await session.rollback()
        assert await _process(one_connection)
    await one_connection.close()


async def test_only_this_transactions_commit_does_not_wait_for_the_disk(one_connection: db.Database) -> None:
    async def setting(session: Session) -> str:
        value: str = (await db.fetch(session, "SHOW synchronous_commit"))[0][0]
        return value

    async with one_connection.sessions.begin() as session:
        await db.fetch(session, "SET synchronous_commit = on")
    async with one_connection.sessions.begin() as session:
        await db.commit_without_waiting(session)
        assert await setting(session) == "off"
    async with one_connection.sessions.begin() as session:
        assert await setting(session) == "on"
    await one_connection.close()


async def test_statements_of_the_driver_are_rolled_back_with_the_session(one_connection: db.Database) -> None:
    async with one_connection.sessions() as session:
        await db.fetch(session, "CREATE TABLE kept (one int)")
        await session.rollback()
    async with one_connection.sessions.begin() as session:
        assert (await db.fetch(session, "SELECT to_regclass('kept')"))[0][0] is None
    await one_connection.close()


async def test_commit_after_a_swallowed_error_is_an_error(one_connection: db.Database) -> None:
    async def swallow() -> None:
        async with one_connection.sessions.begin() as session:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await db.fetch(session, "SELECT 1 / 0")

    with pytest.raises(NotCommitted):
        await swallow()
    assert await _process(one_connection)
    await one_connection.close()


async def test_commit_on_a_connection_that_was_closed_is_an_error(one_connection: db.Database) -> None:
    async def lose() -> None:
        async with one_connection.sessions.begin() as session:
            await db.fetch(session, "CREATE TABLE lost (one int)")
            (await session.driver()).terminate()

    with pytest.raises(asyncpg.InterfaceError) as error:
        await lose()
    assert db.is_transient(error.value)
    assert await _process(one_connection)
    await one_connection.close()


async def test_connection_that_comes_back_in_a_transaction_is_closed(one_connection: db.Database) -> None:
    before = await _process(one_connection)
    counted = _unowned()
    pooled = await one_connection.engine.raw_connection()
    await cast("asyncpg.Connection", pooled.driver_connection).execute("BEGIN")
    pooled.close()
    assert await _process(one_connection) != before
    assert _unowned() == counted + 1
    await one_connection.close()


async def test_connection_that_is_handed_out_in_a_transaction_is_replaced(one_connection: db.Database) -> None:
    before = await _process(one_connection)
    counted = _unowned()
    pooled = await one_connection.engine.raw_connection()
    driver = cast("asyncpg.Connection", pooled.driver_connection)
    pooled.close()
    await driver.execute("BEGIN")
    assert await _process(one_connection) != before
    assert _unowned() == counted + 1
    await one_connection.close()


def _unowned() -> float:
    [metric] = metrics.UNOWNED_TRANSACTIONS.collect()
    return metric.samples[0].value
