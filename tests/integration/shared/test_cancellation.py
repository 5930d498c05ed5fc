"""Cancellation at every await: committed work is stored, and no connection is left in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import asyncpg
import pytest

from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyWithdrawn
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.session import Session
from shared.database_url import DEFAULT, DatabaseOptions
from shared.messaging import codec, inbox, outbox
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.messaging.relay_leadership import messages_in
from shared.messaging.transport import EventLog, Message, open_log
from tests.cancellation import cancelled_at_every_turn

TOPIC = "survey.requests"

in_both_ways = pytest.mark.parametrize(
    "options", [DEFAULT, replace(DEFAULT, pooled=True)], ids=["a session of its own", "pooled by transaction"]
)


@pytest.fixture
def options() -> DatabaseOptions:
    return DEFAULT


@pytest.fixture
async def database(urls: Mapping[str, str], options: DatabaseOptions) -> AsyncIterator[db.Database]:
    one_connection = db.Database(urls["scoring"], schema="scoring", options=options, pool_size=1)
    yield one_connection
    await one_connection.close()


@pytest.fixture
async def outside(database: db.Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    await connection.execute("CREATE TABLE kept (turn int)")
    yield connection
    await connection.close()


@in_both_ways
async def test_cancelled_transaction_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(turn: int) -> int:
        async with database.sessions.begin() as session:
            await db.fetch(session, "INSERT INTO kept VALUES ($1)", turn)
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))


async def _is_kept(outside: asyncpg.Connection, turn: int) -> None:
    assert await outside.fetchval("SELECT count(*) FROM kept WHERE turn = $1", turn) == 1


@in_both_ways
async def test_cancelled_read_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(_: int) -> None:
        async with database.sessions() as session:
            await db.fetch(session, "SELECT turn FROM kept FOR UPDATE")

    async def kept(_: int, __: None) -> None:
        assert await outside.fetch("SELECT turn FROM kept FOR UPDATE NOWAIT") == []

    await cancelled_at_every_turn(work, database=database, kept=kept)


@in_both_ways
async def test_cancelled_commit_of_a_session_poisons_no_connection(
    database: db.Database, outside: asyncpg.Connection
) -> None:
    async def work(turn: int) -> int:
        async with database.sessions() as session:
            await db.fetch(session, "INSERT INTO kept VALUES ($1)", turn)
            await db.fetch(session, "SELECT pg_advisory_xact_lock(7)")
            await session.commit()
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))


@in_both_ways
async def test_cancelled_copy_poisons_no_connection(database: db.Database, outside: asyncpg.Connection) -> None:
    async def work(turn: int) -> int:
        async with database.sessions.begin() as session:
            await db.copy(session, "kept", ["turn"], [(turn,)])
        return turn

    await cancelled_at_every_turn(work, database=database, kept=lambda _, turn: _is_kept(outside, turn))


def _event() -> Event[Payload]:
    payload = SurveyWithdrawn(respondent_id="r1", invitation_id=uuid4(), reason="cancelled")
    return cloudevents.new(payload, service=Service.TRIGGER, at=datetime(2026, 3, 1, tzinfo=UTC))


async def test_message_that_was_appended_is_in_the_log(event_log: EventLog, urls: Mapping[str, str]) -> None:
    database = db.Database(urls["transport"], schema="transport", pool_size=1)
    outside = await database.connect()

    async def work(turn: int) -> None:
        await event_log.append([Message(TOPIC, f"turn {turn}", b"")])

    async def kept(turn: int, _: None) -> None:
        assert await outside.fetchval("SELECT count(*) FROM messages WHERE key = $1", f"turn {turn}") == 1

    await work(-1)  # opens the writer
    await cancelled_at_every_turn(work, database=database, kept=kept)
    await outside.close()
    await database.close()


@pytest.fixture
async def event_log(urls: Mapping[str, str]) -> AsyncIterator[EventLog]:
    log = open_log(urls["transport"])
    yield log
    await log.close()


async def _in_log(urls: Mapping[str, str]) -> set[str]:
    reader = await asyncpg.connect(urls["transport"])
    rows = await reader.fetch("SELECT * FROM transport.messages")
    await reader.close()
    return {codec.parse(message).id for message in messages_in(rows)}


@dataclass
class Stopping:
    """An event log that stops its relay after the first append."""

    log: EventLog
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, messages: Sequence[Message]) -> None:
        await self.log.append(messages)
        self.stop.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


async def test_event_that_left_the_outbox_is_in_the_log(
    database: db.Database, event_log: EventLog, urls: Mapping[str, str]
) -> None:
    added: set[str] = set()

    async def work(_: int) -> str:
        event, log = _event(), Stopping(event_log)
        async with database.sessions.begin() as session:
            await outbox.add(session, [event])
        added.add(event.id)
        await Relay(database, cast("EventLog", log), service=Service.SCORING).run(log.stop)
        return event.id

    async def kept(_: int, id_: str) -> None:
        assert id_ in await _in_log(urls)

    await cancelled_at_every_turn(work, database=database, kept=kept)
    assert added <= await _in_log(urls)


async def test_message_that_was_acknowledged_was_handled_once(
    database: db.Database, event_log: EventLog, outside: asyncpg.Connection
) -> None:
    await outside.execute("CREATE TABLE handled (event_id text)")
    appended: set[str] = set()

    async def work(_: int) -> str:
        event, stop = _event(), asyncio.Event()

        async def handle(session: Session, events: Sequence[Event[Payload]]) -> None:
            fresh = await inbox.unseen(session, "earshot-scoring", events)
            await db.fetch(session, "INSERT INTO handled SELECT unnest($1::text[])", [each.id for each in fresh])
            stop.set()

        await event_log.append([codec.encode(event)])
        appended.add(event.id)
        await Consumer(Service.SCORING, [TOPIC], event_log, database.sessions, handle).run(stop)
        return event.id

    async def kept(_: int, id_: str) -> None:
        assert await outside.fetchval("SELECT count(*) FROM handled WHERE event_id = $1", id_) == 1

    await cancelled_at_every_turn(work, database=database, kept=kept)
    handled = [row["event_id"] for row in await outside.fetch("SELECT event_id FROM handled")]
    assert sorted(handled) == sorted({*handled, *appended})
