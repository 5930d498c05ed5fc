"""Outbox, relay, log, consumer, inbox and parking together, over the postgres transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec import structs

from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyWithdrawn
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.session import Session
from shared.messaging import codec, inbox, outbox, parking
from shared.messaging import consumer as consumer_module
from shared.messaging.consumer import Consumer, HandlerBroken
from shared.messaging.relay import Relay
from shared.messaging.transport import EventLog, Message, MessageTooLarge, open_log

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = "survey.requests"


def withdrawn(respondent: str = "r1", *, invitation: UUID | None = None) -> Event[Payload]:
    payload = SurveyWithdrawn(respondent_id=respondent, invitation_id=invitation or uuid4(), reason="cancelled")
    return cloudevents.new(payload, service=Service.TRIGGER, at=NOW)


@pytest.fixture
async def event_log(urls: Mapping[str, str]) -> AsyncIterator[EventLog]:
    log = open_log(urls["transport"])
    yield log
    await log.close()


class Collector:
    """A handler that notes committed events, stops after enough of them, and can be made to fail."""

    def __init__(self, *, enough: int, stop: asyncio.Event) -> None:
        self.seen: list[Event[Payload]] = []
        self.poison: set[str] = set()
        self._enough, self._stop = enough, stop

    async def __call__(self, session: Session, events: Sequence[Event[Payload]]) -> None:
        for event in await inbox.unseen(session, "earshot-dispatcher", events):
            if event.id in self.poison:
                raise ValueError("poison")
            self.seen.append(event)
        if len({event.id for event in self.seen}) >= self._enough:
            self._stop.set()


def consumer(event_log: EventLog, database: db.Database, handler: Collector) -> Consumer:
    return Consumer(Service.DISPATCHER, [TOPIC], event_log, database.sessions, handler, retry_s=0.01)


async def parked_reasons(database: db.Database) -> list[str]:
    async with database.sessions.begin() as session:
        return [row.reason for row in await parking.list_parked(session)]


async def test_committed_events_travel_from_outbox_to_consumer(
    trigger_db: db.Database, dispatcher_db: db.Database, event_log: EventLog
) -> None:
    events = [withdrawn(f"r{number}") for number in range(50)]
    async with trigger_db.sessions.begin() as session:
        await outbox.add(session, events)
    stop = asyncio.Event()
    handler = Collector(enough=50, stop=stop)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(trigger_db, event_log, service=Service.TRIGGER).run(stop))
        tasks.create_task(consumer(event_log, dispatcher_db, handler).run(stop))
    assert handler.seen == events
    async with trigger_db.sessions.begin() as session:
        assert await db.fetch(session, "SELECT 1 FROM outbox") == []


async def test_rolled_back_change_publishes_nothing(trigger_db: db.Database) -> None:
    session = trigger_db.sessions()
    await outbox.add(session, [withdrawn()])
    await session.rollback()
    async with trigger_db.sessions.begin() as check:
        assert await db.fetch(check, "SELECT 1 FROM outbox") == []


async def test_repeated_message_is_handled_once(dispatcher_db: db.Database, event_log: EventLog) -> None:
    message = codec.encode(withdrawn())
    last = codec.encode(withdrawn())
    await event_log.append([message] * 1000 + [last])
    stop = asyncio.Event()
    handler = Collector(enough=2, stop=stop)
    async with asyncio.timeout(20):
        await consumer(event_log, dispatcher_db, handler).run(stop)
    assert [codec.encode(event).body for event in handler.seen] == [message.body, last.body]


async def test_each_batch_is_told_when_it_is_committed(dispatcher_db: db.Database, event_log: EventLog) -> None:
    stop, told = asyncio.Event(), list[int]()
    handler = Collector(enough=1, stop=stop)
    reading = consumer(event_log, dispatcher_db, handler)
    reading.handled = lambda: told.append(len(handler.seen))
    await event_log.append([codec.encode(withdrawn())])
    async with asyncio.timeout(20):
        await reading.run(stop)
    assert told == [1]


async def test_garbage_is_parked_and_the_rest_goes_on(dispatcher_db: db.Database, event_log: EventLog) -> None:
    good = withdrawn()
    await event_log.append([Message(TOPIC, "k", b"\xff garbage"), codec.encode(good)])
    stop = asyncio.Event()
    handler = Collector(enough=1, stop=stop)
    async with asyncio.timeout(20):
        await consumer(event_log, dispatcher_db, handler).run(stop)
    assert handler.seen == [good]
    assert await parked_reasons(dispatcher_db) == ["body: not UTF-8"]


@pytest.mark.parametrize("value", ["\\u0000", "\0", "a\\", "\\\\u0000", "\ud800", '"', "\\ud800"])
async def test_whatever_a_message_holds_it_is_parked_and_listed(trigger_db: db.Database, value: str) -> None:
    message = Message(f"crm.{value}", value, b"\0", {f"n{value}": value}, f"crm/0/{value}")
    async with trigger_db.sessions.begin() as session:
        await parking.park(session, [(message, f"reason {value}")])
    async with trigger_db.sessions.begin() as session:
        (row,) = await parking.list_parked(session)
    kept = value.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert row.message == Message(f"crm.{kept}", kept, b"\0", {f"n{kept}": kept}, f"crm/0/{kept}")
    assert row.reason == f"reason {kept}"


async def test_headers_that_were_stored_broken_hide_no_other_message(trigger_db: db.Database) -> None:
    messages = [(Message("crm.events", "", b"", {"a": "b"}, str(number)), "reason") for number in range(2)]
    async with trigger_db.sessions.begin() as session:
        await parking.park(session, messages)
        await db.fetch(session, """UPDATE parked SET headers = '{"a": "\\"}' WHERE position = '0'""")
    async with trigger_db.sessions.begin() as session:
        assert [row.message.headers for row in await parking.list_parked(session)] == [{}, {"a": "b"}]


async def test_event_that_breaks_the_handler_is_parked_alone(dispatcher_db: db.Database, event_log: EventLog) -> None:
    events = [withdrawn() for _ in range(20)]
    await event_log.append([codec.encode(event) for event in events])
    stop = asyncio.Event()
    handler = Collector(enough=19, stop=stop)
    handler.poison = {events[7].id}
    async with asyncio.timeout(20):
        await consumer(event_log, dispatcher_db, handler).run(stop)
    committed = {event.id for event in handler.seen}
    assert committed == {event.id for event in events} - handler.poison
    assert await parked_reasons(dispatcher_db) == ["the handler failed: ValueError"]


async def test_process_stops_when_so_many_fail_in_a_row_and_not_when_so_many_failed_ever(
    dispatcher_db: db.Database, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "MAX_FAILURES_IN_A_ROW", 3)
    events = [withdrawn() for _ in range(9)]
    bad, good = events[:6], events[6:]
    handler = Collector(enough=100, stop=asyncio.Event())
    handler.poison = {event.id for event in bad}
    one = consumer(event_log, dispatcher_db, handler)
    mixed = [bad[0], bad[1], good[0], bad[2], bad[3], good[1]]
    async with asyncio.timeout(20):
        for event in mixed:
            assert await one.handle([codec.encode(event)], asyncio.Event())
        assert await one.handle([codec.encode(event) for event in mixed], asyncio.Event())
        with pytest.raises(HandlerBroken):
            await one.handle([codec.encode(event) for event in (good[2], *bad[3:])], asyncio.Event())
    assert {event.id for event in handler.seen} == {event.id for event in good}


async def test_statement_that_does_not_fit_the_schema_is_raised_and_parks_nothing(
    dispatcher_db: db.Database, event_log: EventLog
) -> None:
    async def broken(session: Session, _: Sequence[Event[Payload]]) -> None:
        await db.fetch(session, "SELECT FROM missing")

    one = Consumer(Service.DISPATCHER, [TOPIC], event_log, dispatcher_db.sessions, broken)
    with pytest.raises(asyncpg.UndefinedTableError):
        await one.handle([codec.encode(withdrawn()) for _ in range(3)], asyncio.Event())
    assert await parked_reasons(dispatcher_db) == []


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03", "57014", "53200"])
async def test_deadlock_or_race_parks_nothing_and_is_tried_again(
    dispatcher_db: db.Database, event_log: EventLog, state: str
) -> None:
    """The server raises the error: SQLSTATE 40P01 is a deadlock, 40001 a serialization failure."""
    events = [withdrawn() for _ in range(4)]
    inner, tries = Collector(enough=4, stop=asyncio.Event()), list[int]()

    async def handler(session: Session, some: Sequence[Event[Payload]]) -> None:
        tries.append(len(some))
        await inner(session, some)
        if len(tries) < 3:
            inner.seen.clear()
            await db.fetch(session, f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")

    one = consumer(event_log, dispatcher_db, inner)
    one.handler = handler
    async with asyncio.timeout(20):
        assert await one.handle([codec.encode(event) for event in events], asyncio.Event())
    assert (tries, inner.seen) == ([4, 4, 4], events)
    assert await parked_reasons(dispatcher_db) == []


async def test_error_of_the_decoder_parks_its_message_alone(dispatcher_db: db.Database, event_log: EventLog) -> None:
    good, bad = withdrawn(), withdrawn()
    handler = Collector(enough=1, stop=asyncio.Event())

    def decode(message: Message) -> Event[Payload]:
        event = codec.parse(message)
        if event.id == bad.id:
            raise KeyError(event.id)
        return event

    one = consumer(event_log, dispatcher_db, handler)
    one.decode = decode
    async with asyncio.timeout(20):
        assert await one.handle([codec.encode(event) for event in (bad, good)], asyncio.Event())
    assert handler.seen == [good]
    assert await parked_reasons(dispatcher_db) == ["cannot be read: KeyError"]


class Narrow:
    """A log that refuses long messages."""

    def __init__(self, inner: EventLog, *, stop: asyncio.Event, enough: int) -> None:
        self._inner, self._stop, self._left = inner, stop, enough

    async def append(self, messages: Sequence[Message]) -> None:
        if any(len(message.body) > 1000 for message in messages):
            raise MessageTooLarge
        await self._inner.append(messages)
        self._left -= len(messages)
        if not self._left:
            self._stop.set()


async def test_message_the_log_never_takes_is_parked_and_the_rest_goes_on(
    trigger_db: db.Database, event_log: EventLog
) -> None:
    long = cloudevents.new(
        SurveyWithdrawn(respondent_id="r", invitation_id=uuid4(), reason="x" * 200), service=Service.TRIGGER, at=NOW
    )
    long = structs.replace(long, subject="y" * 1000)
    async with trigger_db.sessions.begin() as session:
        await outbox.add(session, [withdrawn(), long, withdrawn()])
    stop = asyncio.Event()
    async with asyncio.timeout(20):
        narrow = Narrow(event_log, stop=stop, enough=2)
        await Relay(trigger_db, narrow, service=Service.TRIGGER).run(stop)  # type: ignore[arg-type]
    assert await parked_reasons(trigger_db) == ["larger than the event log takes"]
