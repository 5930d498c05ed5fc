"""Stage relay: outbox rows → Kafka. The limit is the same client, which only publishes."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from deploy import databases
from deploy.kafka.broker import Broker
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import AnswerPayload, Payload, ProgramRef, SurveyAnswered
from shared.contract.topics import SURVEY_ANSWERS
from shared.contract.vocabulary import AnswerMode, Category, Service
from shared.database import db, embedded
from shared.messaging import codec, outbox, relay_leadership
from shared.messaging.relay import Relay
from shared.messaging.transport import EventLog, Message, open_log
from shared.messaging.transport.kafka import create_topics
from tests.bench import cost
from tests.bench.frame import Measure, WrongResult

ITEMS = 20_000
COMMITS = 400
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class CountingLog:
    """Forwards appends, and remembers when each was acknowledged; `done` is set after the last."""

    def __init__(self, inner: EventLog, *, expected: int) -> None:
        self._inner = inner
        self._expected = expected
        self.acknowledged = 0
        self.done = asyncio.Event()
        self.at: list[tuple[bytes, float]] = []

    async def append(self, messages: Sequence[Message]) -> None:
        await self._inner.append(messages)
        self.acknowledged += len(messages)
        self.at += [(message.body, time.perf_counter()) for message in messages]
        if self.acknowledged >= self._expected:
            self.done.set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class RelayBench:
    name = "relay"
    gate = 0.33
    goal = 0.5

    def __init__(self, database: db.Database, event_log: EventLog, server: embedded.Embedded) -> None:
        self._database = database
        self._log = event_log
        self._events = [_answered(number) for number in range(ITEMS)]
        self._messages = [codec.encode(event) for event in self._events]
        self.counters: dict[str, float] = {}
        self._meter = cost.Meter(self.counters, server)
        self.peers: dict[str, Measure] = {"one by one": self.one_by_one}

    async def limit(self) -> float:
        began = time.perf_counter()
        for start in range(0, ITEMS, relay_leadership.BATCH):
            await self._log.append(self._messages[start : start + relay_leadership.BATCH])
        return ITEMS / (time.perf_counter() - began)

    async def one_by_one(self) -> float:
        """Publish each message alone and wait for it, as a relay without batches would."""
        began = time.perf_counter()
        for message in self._messages[:500]:
            await self._log.append([message])
        return 500 / (time.perf_counter() - began)

    async def ours(self) -> float:
        await self._fill(self._events)
        wal = await self._wal()
        counting = CountingLog(self._log, expected=ITEMS)
        began = time.perf_counter()
        with self._meter.measure(ITEMS):
            async with self._relaying(counting):
                await counting.done.wait()
        rate = ITEMS / (time.perf_counter() - began)
        if counting.acknowledged != ITEMS:
            raise WrongResult(f"{counting.acknowledged} of {ITEMS} rows were published")
        self.counters["wal_bytes_per_item"] = (await self._wal() - wal) / ITEMS
        self.counters["bytes_per_item"] = statistics.mean(len(message.body) for message in self._messages)
        await self._measure_delay()
        return rate

    async def _fill(self, events: Sequence[Event[Payload]]) -> None:
        async with self._database.sessions.begin() as session:
            for start in range(0, len(events), relay_leadership.BATCH):
                await outbox.add(session, events[start : start + relay_leadership.BATCH])

    @asynccontextmanager
    async def _relaying(self, event_log: CountingLog) -> AsyncIterator[None]:
        stop = asyncio.Event()
        relay = Relay(self._database, event_log, service=Service.SCORING)  # type: ignore[arg-type]
        running = asyncio.create_task(relay.run(stop))
        yield
        stop.set()
        await running

    async def _measure_delay(self) -> None:
        """Commit rows one by one, and measure the time from each commit to its acknowledgement."""
        counting = CountingLog(self._log, expected=COMMITS)
        committed: dict[str, float] = {}
        async with self._relaying(counting):
            for event in self._events[:COMMITS]:
                await self._fill([event])
                committed[event.id] = time.perf_counter()
                await asyncio.sleep(0.002)
            await counting.done.wait()
        waits = sorted(at - committed[codec.parse_body(body).id] for body, at in counting.at)
        self.counters["commit_to_published_p50_ms"] = statistics.median(waits) * 1000
        self.counters["commit_to_published_p99_ms"] = waits[int(len(waits) * 0.99) - 1] * 1000

    async def _wal(self) -> float:
        async with self._database.sessions.begin() as session:
            rows = await db.fetch(session, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes")
        return float(rows[0]["bytes"])


def _answered(number: int) -> Event[Payload]:
    payload: AnswerPayload = SurveyAnswered(
        respondent_id=f"customer-{number % 997}",
        invitation_id=UUID(int=number),
        customer_id=f"customer-{number % 997}",
        answer_id=uuid7(),
        version=1,
        program=ProgramRef(id="after-purchase", version=1, title="After a purchase"),
        score=9,
        category=Category.PROMOTER,
        reasons=["staff"],
        comment=None,
        segments={"store": f"Store {number % 50}", "channel": "store"},
        mode=AnswerMode.SELF,
        step=1,
        answered_at=NOW,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=NOW)


@asynccontextmanager
async def open_bench() -> AsyncIterator[RelayBench]:
    folder = Path(tempfile.mkdtemp(prefix="eb-"))
    server = embedded.start(folder / "pg")
    with Broker() as broker:
        urls = await embedded.prepare(server)
        await databases.migrate({"scoring": urls["scoring"]})
        await create_topics(broker.url, [SURVEY_ANSWERS])
        database = db.Database(urls["scoring"], schema="scoring")
        event_log = open_log(broker.url)
        try:
            yield RelayBench(database, event_log, server)
        finally:
            await event_log.close()
            await database.close()
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
