"""Packed rows of outbox and log beside rows of one message, and what a migration makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from deploy.databases import MIGRATIONS
from shared import migrations
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from shared.messaging import outbox, relay_leadership
from shared.messaging.relay_leadership import messages_in
from shared.messaging.transport import Message, packing
from shared.messaging.transport.postgres import PostgresLog
from tests.contract.transport_stand import FIRST, SECOND, take
from tests.integration.shared.test_relay import Log, running, withdrawn

GROUP = "earshot-tests"
REVISIONS = {"trigger": "0011", "dispatcher": "0009", "scoring": "0009", "transport": "0001"}  # before packed rows


async def _fetch(database: db.Database, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    async with database.sessions.begin() as session:
        return [tuple(row) for row in await db.fetch(session, sql, *values)]


async def _pack(database: db.Database, *, since: str) -> None:
    await _fetch(database, "UPDATE compact_rows SET since = $1::text::timestamptz", since)


async def _add(database: db.Database, *keys: str) -> None:
    async with database.sessions.begin() as session:
        await outbox.add(session, [withdrawn(key) for key in keys])


@pytest.fixture
async def transport_db(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    database = db.Database(urls["transport"], schema="transport", pool_size=2)
    yield database
    await database.close()


async def test_events_of_a_transaction_are_packed_and_published_in_order(trigger_db: db.Database) -> None:
    keys = [f"{number:03}" for number in range(200)]
    await _add(trigger_db, *keys[:150])
    await _pack(trigger_db, since="infinity")
    await _add(trigger_db, *keys[150:153])
    await _pack(trigger_db, since="-infinity")
    await _add(trigger_db, *keys[153:])
    packed = [count for (count,) in await _fetch(trigger_db, "SELECT packed FROM outbox ORDER BY id")]
    assert packed == [64, 64, 22, None, None, None, 47]
    log = Log(len(keys), trigger_db)
    async with running(trigger_db, log, relays=2):
        await log.done.wait()
    assert log.keys == keys
    assert await _fetch(trigger_db, "SELECT FROM outbox") == []


async def test_relay_takes_about_as_many_messages_as_before(
    trigger_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_leadership, "BATCH", 100)
    await _add(trigger_db, *map(str, range(400)))
    reader = relay_leadership.OutboxReader(await trigger_db.connect())
    assert len(messages_in(await reader.next_rows())) == 2 * packing.MOST
    await reader.connection.close()


def _numbered(count: int, *, first: int = 0, topic: str = FIRST) -> list[Message]:
    return [Message(topic, "k", str(number).encode(), {"n": "1"}) for number in range(first, first + count)]


async def _append(database: db.Database, urls: Mapping[str, str]) -> list[bytes]:
    """Append packed rows and others to two topics; return the bodies of the first topic."""
    for since, first, count in (("-infinity", 0, 150), ("infinity", 150, 3), ("-infinity", 153, 47)):
        log = PostgresLog(urls["transport"])
        await _pack(database, since=since)
        await log.append([*_numbered(count, first=first), *_numbered(count, first=first, topic=SECOND)])
        await log.close()
    return [str(number).encode() for number in range(200)]


@pytest.mark.parametrize("limit", [1, 7, 64, 100, 500])
async def test_reader_takes_no_more_than_its_limit_of_packed_messages(
    urls: Mapping[str, str], transport_db: db.Database, limit: int
) -> None:
    bodies = await _append(transport_db, urls)
    packed = await _fetch(transport_db, "SELECT packed FROM messages WHERE topic = $1 ORDER BY id", FIRST)
    assert [count for (count,) in packed] == [64, 64, 22, None, None, None, 47]
    log, found = PostgresLog(urls["transport"]), list[Message]()
    for _ in range(3):  # the reader is replaced in the middle of a row
        async with aclosing(log.read(GROUP, [FIRST], limit=limit)) as batches:
            found += (taken := await take(batches, 1))
            assert len(taken) <= limit
            assert await log.lag(GROUP, [FIRST]) == 200 - len(found)
            if len(found) == len(bodies):
                break
    async with aclosing(log.read(GROUP, [FIRST, SECOND], limit=limit)) as batches:
        rest = await take(batches, 400 - len(found))
    assert await log.lag(GROUP, [FIRST, SECOND]) == 0
    await log.close()
    found += [message for message in rest if message.topic == FIRST]
    assert [message.body for message in found] == bodies
    assert [message.body for message in rest if message.topic == SECOND] == bodies
    positions = [int(message.position.rpartition("/")[2]) for message in found]
    assert positions == sorted(set(positions))


async def test_history_ends_with_as_many_as_are_wanted(urls: Mapping[str, str], transport_db: db.Database) -> None:
    bodies = await _append(transport_db, urls)
    log = PostgresLog(urls["transport"])
    for last in (None, 1, 46, 47, 49, 60, 199, 200, 1000):
        async with aclosing(log.history(FIRST, last=last)) as batches:
            found = [message.body async for batch in batches for message in batch]
        assert found == bodies[-last if last else 0 :]
    await log.close()


@pytest.fixture
async def before(postgres: embedded.Embedded) -> AsyncIterator[Mapping[str, db.Database]]:
    """All schemas at the revisions before packed rows."""
    urls = await embedded.prepare(postgres, f"p{uuid4().hex[:12]}")
    databases = {name: db.Database(urls[name], schema=name, pool_size=2) for name in REVISIONS}
    for name, revision in REVISIONS.items():
        await migrations.upgrade(databases[name], MIGRATIONS[name], to=revision)
    yield databases
    for database in databases.values():
        await database.close()


async def _downgrade(database: db.Database, name: str) -> None:
    async with database.engine.connect() as connection:
        await migrations._run(connection, MIGRATIONS[name], "downgrade", to=REVISIONS[name])


_ROWS = {
    "trigger": "INSERT INTO respondents (id, spread) VALUES ('c1', 0)",
    "dispatcher": """INSERT INTO invitations (id, respondent_id, program, request, unsubscribe, expires_at)
    VALUES (gen_random_uuid(), 'c1', 'p', '{}', '', now())""",
    "scoring": """INSERT INTO invitations (id, fingerprint, respondent_id, name, phone, program, occasion, content,
    dimensions, expires_at, invited_day, counted)
    VALUES (gen_random_uuid(), '', 'c1', '', '', 'p', '[]', '', '{}', now(), now(), true)""",
}
_WAITING = "INSERT INTO outbox (topic, key, headers, body) VALUES ('t', 'first', '{}', 'x')"


@pytest.mark.parametrize("name", list(Service))
async def test_outbox_is_packed_a_day_after_the_upgrade_and_unpacked_by_the_downgrade(
    before: Mapping[str, db.Database], name: str
) -> None:
    database = before[name]
    await _fetch(database, _ROWS[name])
    await _fetch(database, _WAITING)
    await migrations.upgrade(database, MIGRATIONS[name])
    await _add(database, "a", "b")
    await _pack(database, since="-infinity")
    await _add(database, "c", "d")
    columns = "SELECT key, packed FROM outbox ORDER BY id"
    assert await _fetch(database, columns) == [("first", None), ("a", None), ("b", None), ("", 2)]
    await _downgrade(database, name)
    rows = await _fetch(
        database, "SELECT key, headers::json->>'content-type', substring(body FOR 1) FROM outbox ORDER BY id"
    )
    kind = "application/cloudevents+json; charset=utf-8"
    assert rows == [("first", None, b"x"), *((key, kind, b"{") for key in "abcd")]


@pytest.mark.parametrize("name", list(Service))
async def test_outbox_of_a_new_installation_is_packed_at_once(before: Mapping[str, db.Database], name: str) -> None:
    database = before[name]
    await migrations.upgrade(database, MIGRATIONS[name])
    await _add(database, "a", "b")
    assert await _fetch(database, "SELECT packed FROM outbox") == [(2,)]


_READ_BEFORE = "SELECT id, key, headers, body FROM messages WHERE topic = $1 AND id > $2 ORDER BY id"
_APPEND_BEFORE = "INSERT INTO messages (topic, key, headers, body) VALUES ($1, 'k', '{}', $2)"
_CURSOR = "SELECT position FROM cursors WHERE group_name = $1 AND topic = $2"


async def test_log_is_packed_a_day_after_the_upgrade_and_unpacked_by_the_downgrade(
    before: Mapping[str, db.Database],
) -> None:
    database = before["transport"]
    log = PostgresLog(database.url.text)
    await _fetch(database, _APPEND_BEFORE, FIRST, b"0")
    await migrations.upgrade(database, MIGRATIONS["transport"])
    await log.append(_numbered(3, first=1))
    await _fetch(database, _APPEND_BEFORE, FIRST, b"4")
    seen = [body for *_, body in await _fetch(database, _READ_BEFORE, FIRST, 0)]
    assert seen == [b"0", b"1", b"2", b"3", b"4"], "the version before reads and appends"
    await _pack(database, since="-infinity")
    await log.append(_numbered(5, first=5))
    await _fetch(database, _APPEND_BEFORE, FIRST, b"10")
    async with aclosing(log.read(GROUP, [FIRST], limit=7)) as batches:
        assert [message.body for message in await take(batches, 7)][-1] == b"6"
    await log.close()
    await _downgrade(database, "transport")
    [(position,)] = await _fetch(database, _CURSOR, GROUP, FIRST)
    rows = await _fetch(database, _READ_BEFORE, FIRST, position)
    assert [body for *_, body in rows] == [b"7", b"8", b"9", b"10"]
    assert rows[0][1:3] == ("k", '{"n":"1"}')
    await _fetch(database, _APPEND_BEFORE, FIRST, b"11")
    assert (await _fetch(database, _READ_BEFORE, FIRST, position))[-1][-1] == b"11"


async def test_log_of_a_new_installation_is_packed_at_once(before: Mapping[str, db.Database]) -> None:
    database = before["transport"]
    await migrations.upgrade(database, MIGRATIONS["transport"])
    log = PostgresLog(database.url.text)
    await log.append(_numbered(64))
    await log.close()
    assert await _fetch(database, "SELECT packed, id > packed FROM messages") == [(64, True)]
