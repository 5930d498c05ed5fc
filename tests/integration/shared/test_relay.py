"""The relay publishes in the outbox's order, one process at a time, and deletes rows only after they are published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyWithdrawn
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database_url import DatabaseOptions
from shared.messaging import outbox, relay, relay_leadership
from shared.messaging.relay import Relay
from shared.messaging.relay_leadership import LockLeadership, OutboxReader, messages_in
from shared.messaging.transport import Message, TransportUnavailable
from tests.integration.trigger.samples import NOW, count


@dataclass
class Log:
    """Stores what is appended; `meets` is called first and may fail."""

    enough: int
    database: db.Database
    fails: list[Exception] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, messages: Sequence[Message]) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for _ in range(3):
            await self.database.ping()  # takes as long as a real log, so that another relay could interfere
        self.at_once -= 1
        if self.fails:
            raise self.fails.pop()
        self.keys += [message.key for message in messages]
        if len(self.keys) >= self.enough:
            self.done.set()


def withdrawn(key: str) -> Event[Payload]:
    payload = SurveyWithdrawn(respondent_id=key, invitation_id=UUID(int=1), reason="cancelled")
    return cloudevents.new(payload, service=Service.TRIGGER, at=NOW)


async def add(database: db.Database, *keys: str) -> None:
    async with database.sessions.begin() as session:
        await outbox.add(session, [withdrawn(key) for key in keys])


@asynccontextmanager
async def running(database: db.Database, log: Log, *, relays: int = 1) -> AsyncIterator[None]:
    """Run so many relays, as so many processes would, until the block ends."""
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for _ in range(relays):
            relay = Relay(database, log, service=Service.TRIGGER)  # type: ignore[arg-type]
            tasks.create_task(relay.run(stop))
        try:
            yield
        finally:
            stop.set()


@pytest.fixture(params=[False, True], ids=["locked", "leased"])
async def trigger_db(urls: Mapping[str, str], request: pytest.FixtureRequest) -> AsyncIterator[db.Database]:
    database = db.Database(urls["trigger"], schema="trigger", options=DatabaseOptions(pooled=request.param))
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_leadership, "BATCH", 5)


async def test_events_are_published_in_the_order_they_were_numbered(trigger_db: db.Database) -> None:
    keys = [f"{number:02}" for number in range(20)]
    await add(trigger_db, *keys)
    async with trigger_db.sessions.begin() as session:  # the physical order of rows is not their id's
        await db.fetch(session, "UPDATE outbox SET headers = headers || ' ' WHERE key < '13'")
        await db.fetch(session, "UPDATE outbox SET headers = headers || ' ' WHERE key < '07'")
    log = Log(20, trigger_db)
    async with running(trigger_db, log):
        await log.done.wait()
    assert log.keys == keys


async def test_of_two_relays_one_publishes_and_each_event_once(trigger_db: db.Database) -> None:
    keys = [f"{number:03}" for number in range(150)]
    log = Log(len(keys), trigger_db)
    async with running(trigger_db, log, relays=3):
        for start in range(0, len(keys), 10):
            await add(trigger_db, *keys[start : start + 10])
        await log.done.wait()
    assert log.keys == keys
    assert log.most_at_once == 1
    assert await count(trigger_db, "outbox") == 0


async def test_event_stays_in_the_outbox_until_the_log_has_it(trigger_db: db.Database) -> None:
    await add(trigger_db, *map(str, range(5)))
    log = Log(5, trigger_db, fails=[TransportUnavailable("away")])
    async with running(trigger_db, log):
        await log.done.wait()
    assert log.keys == [str(number) for number in range(5)]
    assert log.fails == []


_NOTE_COMMITS = (
    "CREATE TABLE commits (waits text)",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO trigger.commits VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
    "CREATE TRIGGER noted AFTER DELETE ON outbox EXECUTE FUNCTION note()",
)


async def test_deletion_of_published_rows_does_not_wait_for_the_disk(trigger_db: db.Database) -> None:
    """One that a crash of the server undoes is like a relay that was killed before it: its rows are published again."""
    async with trigger_db.sessions.begin() as session:
        for statement in _NOTE_COMMITS:
            await db.fetch(session, statement)
    admin = await trigger_db.connect()
    await admin.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {trigger_db.url.database} SET synchronous_commit = on")
    await trigger_db.engine.dispose()
    await add(trigger_db, "one")
    log = Log(1, trigger_db)
    async with running(trigger_db, log):
        await log.done.wait()
    assert [row["waits"] for row in await admin.fetch("SELECT waits FROM commits")] == ["off"]
    await admin.close()


async def test_rows_that_wait_for_a_log_that_is_away_are_counted(trigger_db: db.Database) -> None:
    await add(trigger_db, *map(str, range(3)))
    log = Log(3, trigger_db, fails=[TransportUnavailable("away")] * 1000)
    async with running(trigger_db, log):
        while len(log.fails) == 1000:
            await trigger_db.ping()
        assert REGISTRY.get_sample_value("earshot_outbox_rows", {"service": "trigger"}) == 3


async def test_two_services_do_not_wait_for_each_other(trigger_db: db.Database, dispatcher_db: db.Database) -> None:
    first, second = Log(1, trigger_db), Log(1, dispatcher_db)
    async with running(trigger_db, first):
        await add(trigger_db, "a")
        await first.done.wait()
        stop = asyncio.Event()
        relay = Relay(dispatcher_db, second, service=Service.DISPATCHER)  # type: ignore[arg-type]
        running_too = asyncio.create_task(relay.run(stop))
        await add(dispatcher_db, "b")
        await second.done.wait()
        stop.set()
        await running_too
    assert (first.keys, second.keys) == (["a"], ["b"])


async def test_event_whose_notification_was_lost_with_the_connection_is_published_after_the_reconnect(
    dispatcher_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_S", 3600.0)
    monkeypatch.setattr(LockLeadership, "idle_s", 3600.0)
    log = Log(1, dispatcher_db)
    async with running(dispatcher_db, log):
        await add(dispatcher_db, "told")
        await log.done.wait()
        while await count(dispatcher_db, "outbox"):
            await dispatcher_db.ping()
        log.done, log.enough = asyncio.Event(), 2
        async with dispatcher_db.sessions.begin() as session:
            await db.fetch(
                session, "INSERT INTO outbox (topic, key, headers, body) VALUES ('t', 'not told', '{}', 'x')"
            )
            await db.fetch(
                session,
                """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
            )
        await log.done.wait()
    assert log.keys == ["told", "not told"]


async def test_event_of_a_transaction_that_commits_late_is_published(dispatcher_db: db.Database) -> None:
    """Its id is below those of events that were published and deleted long before."""
    before, after = [f"{number:03}" for number in range(400)], [f"{number:03}" for number in range(400, 800)]
    log = Log(len(before), dispatcher_db)
    async with running(dispatcher_db, log):
        async with dispatcher_db.sessions.begin() as session:
            await outbox.add(session, [withdrawn("late")])
            await add(dispatcher_db, *before)
            await log.done.wait()
        log.done, log.enough = asyncio.Event(), len(before) + len(after) + 1
        await add(dispatcher_db, *after)
        await log.done.wait()
    assert sorted(log.keys) == [*before, *after, "late"]
    assert await count(dispatcher_db, "outbox") == 0


async def test_poll_reads_nothing_again_of_what_was_deleted(dispatcher_db: db.Database) -> None:
    reader = OutboxReader(await dispatcher_db.connect())
    floors = []
    for round_ in range(60):
        await add(dispatcher_db, *(f"{round_:03}" for _ in range(5)))
        rows = await reader.next_rows()
        assert [message.key for message in messages_in(rows)] == [f"{round_:03}"] * 5
        await reader.connection.execute("DELETE FROM outbox")
        floors.append(rows[-1]["id"] - reader.floor)
    assert max(floors[30:]) <= 2 * 5 * (relay_leadership.SETTLE_AFTER + 1), "ids between the floor and the newest row"
    await reader.connection.close()


async def test_floor_stays_below_a_transaction_that_is_open(dispatcher_db: db.Database) -> None:
    reader = OutboxReader(await dispatcher_db.connect())
    async with dispatcher_db.sessions.begin() as session:
        await outbox.add(session, [withdrawn("late")])
        for _ in range(60):
            await add(dispatcher_db, *"abcde")
            assert len(messages_in(await reader.next_rows())) == 5
            await reader.connection.execute("DELETE FROM outbox")
    assert [message.key for message in messages_in(await reader.next_rows())] == ["late"]
    await reader.connection.close()
