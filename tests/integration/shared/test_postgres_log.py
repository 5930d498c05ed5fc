"""The embedded log: how long it keeps messages; a late acknowledgement does not move the cursor back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared import database_url
from shared.database import embedded
from shared.messaging.transport import Message
from shared.messaging.transport import postgres as postgres_log
from shared.messaging.transport.postgres import RETENTION, PostgresLog
from tests.contract.transport_stand import FIRST, SECOND, numbered, take

GROUP = "earshot-tests"


@pytest.fixture
async def log(urls: Mapping[str, str]) -> AsyncIterator[PostgresLog]:
    opened = PostgresLog(urls["transport"])
    yield opened
    await opened.close()


@pytest.fixture
async def admin(urls: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls["transport"], server_settings={"search_path": "transport"})
    yield connection
    await connection.close()


async def test_messages_are_kept_for_seven_days(
    urls: Mapping[str, str], log: PostgresLog, admin: asyncpg.Connection
) -> None:
    days = (0, 1, 6.9, 7.1, 100)
    for age in days:
        await log.append([Message(topic, str(age), b"x") for topic in (FIRST, SECOND)])
    await admin.execute("UPDATE messages SET appended_at = now() - key::float8 * interval '1 day'")

    another = PostgresLog(urls["transport"])  # each process prunes with its first append, and then hourly
    await another.append([Message(FIRST, "0", b"y")])
    await another.close()

    rows = await admin.fetch("SELECT topic, key FROM messages ORDER BY topic, id")
    assert [tuple(row) for row in rows] == [
        *((FIRST, key) for key in ("0", "1", "6.9", "0")),
        *((SECOND, key) for key in ("0", "1", "6.9")),
    ]


async def test_old_messages_are_deleted_some_with_each_append_and_the_others_are_not_read(
    urls: Mapping[str, str], admin: asyncpg.Connection
) -> None:
    await admin.execute(
        """INSERT INTO messages (topic, key, headers, body, appended_at)
        SELECT topic, '', '{}', repeat('x', 500)::bytea, now() - interval '20 days' + number * interval '1 minute'
        FROM unnest($1::text[]) AS topic, generate_series(1, 20 * 1440) AS number ORDER BY number""",
        [FIRST, SECOND],
    )
    await admin.execute("VACUUM ANALYZE messages")
    plan = await admin.fetch(f"EXPLAIN ANALYZE {postgres_log._PRUNE}", RETENTION, 200)
    assert "Seq Scan" not in "".join(line for (line,) in plan)
    assert await admin.fetchval("SELECT count(*) FROM messages") == 2 * (20 * 1440 - 200)

    old = "SELECT count(*) FROM messages WHERE appended_at < now() - interval '7 days'"
    left = await admin.fetchval(old)
    opened = PostgresLog(urls["transport"])
    await opened.append(numbered("a", range(1)))
    assert await admin.fetchval(old) == left - 2 * 200
    while await admin.fetchval(old):
        await opened.append(numbered("a", range(1)))
    await opened.close()
    kept = await admin.fetch("SELECT topic, count(*) FROM messages WHERE body <> '0' GROUP BY 1")
    assert {count for _, count in kept} == {7 * 1440}


async def test_late_acknowledgement_takes_nothing_back(urls: Mapping[str, str], log: PostgresLog) -> None:
    await log.append(numbered("a", range(8)))
    async with asyncio.timeout(30), aclosing(log.read(GROUP, [FIRST], limit=4)) as batches:
        first = await anext(batches)
        await first.ack()
        second = await anext(batches)
        await second.ack()
        await first.ack()
        assert await log.lag(GROUP, [FIRST]) == 0
    await log.append(numbered("a", range(8, 9)))
    async with asyncio.timeout(30), aclosing(PostgresLog(urls["transport"]).read(GROUP, [FIRST])) as batches:
        assert [message.body for message in await take(batches, 1)] == [b"8"]


async def test_acknowledgement_of_a_reader_that_was_replaced_takes_nothing_back(
    urls: Mapping[str, str], log: PostgresLog, admin: asyncpg.Connection
) -> None:
    await log.append(numbered("a", range(8)))
    slow, other = (PostgresLog(urls["transport"]) for _ in range(2))
    async with asyncio.timeout(30), aclosing(slow.read(GROUP, [FIRST], limit=4)) as batches:
        held = await anext(batches)
        await admin.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        )
        async with aclosing(other.read(GROUP, [FIRST])) as others:
            assert len(await take(others, 8)) == 8
            await held.ack()
            assert await log.lag(GROUP, [FIRST]) == 0
    for opened in (slow, other):
        await opened.close()


async def test_all_topics_of_a_reader_are_read_by_one_statement(
    postgres: embedded.Embedded, urls: Mapping[str, str], log: PostgresLog
) -> None:
    last = "test.third"
    await log.append([Message(last, "k", b"x")])
    superuser = await database_url.connect(postgres.admin_url)
    await superuser.execute(f"ALTER DATABASE {urlsplit(urls['transport']).path[1:]} SET log_statement = 'all'")
    await superuser.close()
    logged = postgres.folder / "log"
    before = logged.read_text(errors="replace")

    async with aclosing(PostgresLog(urls["transport"]).read(GROUP, [FIRST, SECOND, last])) as batches:
        batch = await anext(batches)
        await batch.ack()
    assert [message.topic for message in batch.messages] == [last]
    statements = logged.read_text(errors="replace").removeprefix(before)
    assert statements.count("FROM messages") == 1
    assert await log.lag(GROUP, [FIRST, SECOND, last]) == 0


async def test_reader_begins_with_the_first_topic_and_takes_no_more_than_its_limit(log: PostgresLog) -> None:
    await log.append([*numbered("a", range(3), topic=SECOND), *numbered("a", range(3), topic=FIRST)])
    read = list[tuple[str, bytes]]()
    async with asyncio.timeout(30), aclosing(log.read(GROUP, [FIRST, SECOND], limit=2)) as batches:
        while len(read) < 6:
            batch = await anext(batches)
            await batch.ack()
            assert len(batch.messages) <= 2
            read += [(message.topic, message.body) for message in batch.messages]
    assert read == [(topic, body) for topic in (FIRST, SECOND) for body in (b"0", b"1", b"2")]
