"""Stage trigger: Kafka → decision, request and outbox committed. The limit is a COPY of the same rows.

One event in five is asked about, one in ten comes twice. The limit writes the same rows to the same tables, with their
partitions, indexes and earlier rows, in a database of their own, a thousand events a commit. Ours is two processes of
one group, one for each core. `EARSHOT_TEST_SEEN=5000000` stores so many earlier decisions first,
`EARSHOT_TEST_EVENTS=1000000` decides so many first.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from uuid_utils.compat import uuid7

from deploy import databases
from deploy.kafka.broker import Broker
from services.trigger import main
from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.stored_decision import EventKey
from services.trigger.domain.programs.reading import read_program
from services.trigger.handlers.programs import apply_program
from shared import database_url
from shared.clock import ManualClock
from shared.contract.topics import CRM_EVENTS
from shared.database import db, embedded, partitions
from shared.messaging import relay_leadership
from shared.messaging.transport import EventLog, Message, open_log
from shared.messaging.transport.kafka import create_topics
from tests.bench import cost
from tests.bench.frame import Measure, WrongResult
from tests.bench.trigger_processes import NOW, TriggerProcesses, consumer_of, open_trigger_processes
from tests.staff import STAFF

ITEMS = 16_000
TWICE = ITEMS // 10
FRESH = ITEMS - TWICE
AT_ONCE = 1000
PROCESSES = 2
# runs whose rows the limit adds to, fewer than ours adds to: an insert costs more in larger indexes
EARLIER = 5
TABLES = ("event_keys", "shapes", "decisions", "respondents", "touchpoints", "addresses", "outbox")
PROGRAM = b"""
id: after-purchase
brand: {name: Shop}
starts_on: [crm.purchase.completed]
conditions: {field: order.amount, operator: ge, value: 80}
caps:
  - {name: after any invitation, days: 30}
  - {name: after an answer here, scope: program, after: answer, days: 60}
  - {name: after a refusal, after: decline, days: 180}
"""


class TriggerBench:
    name = "trigger"
    gate = 0.33
    goal = 0.45

    def __init__(
        self, database: db.Database, of_limit: db.Database, event_log: EventLog, server: embedded.Embedded
    ) -> None:
        self._database, self._of_limit = database, of_limit
        self._log, self._clock = event_log, ManualClock(NOW)
        self._settings = TriggerSettings(_env_file=None)
        self._run = 0
        self._processes: TriggerProcesses | None = None
        self._decided: list[dict[str, Any]] = []
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self.counters: dict[str, float] = {}
        self._meter = cost.Meter(self.counters, server)
        self.peers: dict[str, Measure] = {
            "only duplicates": self.duplicates,
            "HTTP, 1000 an array": self.arrays,
            "HTTP, single, 50 at once": self.singles,
        }

    async def prepare(self) -> None:
        """Apply the program, and count the statements of a run."""
        async with self._database.sessions.begin() as session:
            await apply_program(session, read_program(PROGRAM), now=NOW)
        await self._decide_fresh(self._alone)
        await self._count()

    async def use_processes(self, processes: TriggerProcesses) -> None:
        """Measure with these processes from now on, keep rows for the limit, and decide EARSHOT_TEST_EVENTS events."""
        self._processes = processes
        self._meter.processes = [process.pid for process in processes.processes]
        while self._run < EARLIER:
            await self.ours()
        await self._keep_rows()
        if seen := int(os.environ.get("EARSHOT_TEST_SEEN", "0")):
            await self._fill(seen)
        self.counters["peak_mb"] = processes.peak_mb()
        if events := int(os.environ.get("EARSHOT_TEST_EVENTS", "0")):
            for _ in range(ITEMS, events, ITEMS):
                await self.ours()
            self.counters["peak_mb_then"] = processes.peak_mb()

    async def limit(self) -> float:
        connection = await self._of_limit.connect()
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        for table in TABLES:
            await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE earlier_{table}")
        await connection.execute("CHECKPOINT")
        began = time.perf_counter()
        commits = ITEMS // AT_ONCE
        for part in range(commits):
            async with connection.transaction():
                for table, rows in self._rows.items():
                    share = rows[part * len(rows) // commits : (part + 1) * len(rows) // commits]
                    await connection.copy_records_to_table(table, records=share)
        rate = ITEMS / (time.perf_counter() - began)
        await connection.close()
        return rate

    async def ours(self) -> float:
        return await self._decide_fresh(self._measured)

    async def duplicates(self) -> float:
        """Measure a run whose events were all decided before."""
        before = await self._counted()
        rate = await self._together(self._decided)
        if await self._counted() != before:
            raise WrongResult("a duplicate was decided anew")
        return rate

    async def _decide_fresh(self, measure: Callable[[Sequence[dict[str, Any]]], Awaitable[float]]) -> float:
        self._decided = self._events()
        before = await self._counted()
        rate = await measure(self._decided)
        decided, requests = (now - then for now, then in zip(await self._counted(), before, strict=True))
        if (decided, requests) != (FRESH, FRESH // 5):
            raise WrongResult(f"{decided} of {FRESH} decided, {requests} of {FRESH // 5} asked")
        return rate

    async def _measured(self, events: Sequence[dict[str, Any]]) -> float:
        return await self._released(events, self._meter.measure(len(events)))

    async def _together(self, events: Sequence[dict[str, Any]]) -> float:
        return await self._released(events, nullcontext())

    async def _released(self, events: Sequence[dict[str, Any]], measured: AbstractContextManager[None]) -> float:
        assert self._processes is not None
        self._processes.hold()
        await self._append(events)
        await self._execute("CHECKPOINT")
        with measured:
            return len(events) / await self._processes.decide(len(events))

    async def _alone(self, events: Sequence[dict[str, Any]]) -> float:
        """Handle all events in this process; timed from the first batch, without joining the group."""
        await self._append(events)
        await self._execute("CHECKPOINT")
        consumer, stop, left, began = consumer_of(self._database, self._log), asyncio.Event(), len(events), 0.0
        async with aclosing(
            consumer.event_log.read(consumer.service.group, consumer.topics, limit=consumer.batch_size)
        ) as batches:
            async for batch in batches:
                began = began or time.perf_counter()
                await consumer.handle(batch.messages, stop)
                await batch.ack()
                left -= len(batch.messages)
                if left <= 0:
                    break
            return len(events) / (time.perf_counter() - began)

    async def arrays(self) -> float:
        events = self._events()
        async with self._client() as http:
            began = time.perf_counter()
            for start in range(0, ITEMS, AT_ONCE):
                answer = await http.post("/v1/events", content=json.dumps(events[start : start + AT_ONCE]))
                answer.raise_for_status()
            return ITEMS / (time.perf_counter() - began)

    async def singles(self) -> float:
        bodies = iter([json.dumps(event) for event in self._events()[:2000]])
        async with self._client() as http:

            async def send() -> None:
                for body in bodies:
                    (await http.post("/v1/events", content=body)).raise_for_status()

            began = time.perf_counter()
            await asyncio.gather(*(send() for _ in range(50)))
            return 2000 / (time.perf_counter() - began)

    def _client(self) -> httpx2.AsyncClient:
        app = main.build_app(self._settings, self._database, self._clock)
        headers = {"content-type": "application/cloudevents+json"}
        return httpx2.AsyncClient(
            auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1", headers=headers, timeout=60
        )

    async def _append(self, events: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(events), relay_leadership.BATCH):
            await self._log.append([_message(event) for event in events[start : start + relay_leadership.BATCH]])

    def _events(self) -> list[dict[str, Any]]:
        self._run += 1
        fresh = [_event(self._run, number) for number in range(FRESH)]
        events = [*fresh, *fresh[:: FRESH // TWICE][:TWICE]]
        return [events[place * 7919 % ITEMS] for place in range(ITEMS)]

    async def _counted(self) -> tuple[int, int]:
        async with self._database.sessions() as session:
            (row,) = await db.fetch(
                session, "SELECT count(*), count(invitation_id) FROM decisions WHERE decided_at = $1", NOW
            )
        return row[0], row[1]

    async def _keep_rows(self) -> None:
        """Store all rows beside the limit's tables, and keep those of one more run, which it adds to them."""
        async with self._of_limit.sessions.begin() as session:
            await partitions.make_ahead(session, "decisions", now=await partitions.machine_time(session))
        connection, copied = await self._database.connect(), await self._of_limit.connect()
        for table in TABLES:
            await copied.execute(f"CREATE TABLE earlier_{table} (LIKE {table})")
            rows = await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - ours
            await copied.copy_records_to_table(f"earlier_{table}", records=map(tuple, rows))
        last = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await self.ours()
        for table in TABLES:
            new = await connection.fetch(f"SELECT * FROM {table} WHERE xmin::text::bigint > $1", last)  # noqa: S608 - ours
            self._rows[table] = [tuple(row) for row in new]
        await connection.close()
        await copied.close()

    async def _count(self) -> None:
        """Count statements and WAL of a run in this process; it is not one of the timed runs."""
        wal = await self._wal()
        async with cost.statements(self._database, self.counters, items=ITEMS):
            self.counters["one_process_per_s"] = await self._decide_fresh(self._alone)
        self.counters["wal_bytes_per_event"] = (await self._wal() - wal) / ITEMS

    async def _wal(self) -> float:
        async with self._database.sessions() as session:
            rows = await db.fetch(session, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes")
        return float(rows[0]["bytes"])

    async def _fill(self, seen: int) -> None:
        """Store so many decisions of earlier days."""
        connection = await self._database.connect()
        sample = await connection.fetchrow("SELECT * FROM decisions LIMIT 1")
        assert sample is not None
        columns = list(sample.keys())
        for start in range(0, seen, 20_000):
            rows = [_earlier(sample, number) for number in range(start, min(start + 20_000, seen))]
            await connection.copy_records_to_table("decisions", records=rows, columns=columns)
            keys = [(EventKey(sample["source"], row[columns.index("event_id")]).hash,) for row in rows]
            await connection.copy_records_to_table("event_keys", records=keys)
        await connection.execute("ANALYZE decisions")
        await connection.close()

    async def _execute(self, *statements: str) -> None:
        connection = await self._database.connect()
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


def _event(run: int, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{run}-{number}",
        "source": "my-shop",
        "type": "crm.purchase.completed",
        "time": "2026-03-01T11:00:00Z",
        "data": {
            "customer": {"id": f"{run}-{number}", "name": "Ann Example", "email": f"ann{run}-{number}@shop.example"},
            "order": {"id": f"{run}-{number}", "amount": f"{number % 5 * 20}.00", "currency": "EUR"},
            "touchpoint": {"store": f"Store {number % 50}", "channel": "store", "region": "North"},
        },
    }


def _message(event: dict[str, Any]) -> Message:
    return Message(CRM_EVENTS.name, event["data"]["customer"]["id"], json.dumps(event).encode())


def _earlier(sample: asyncpg.Record, number: int) -> tuple[Any, ...]:
    other = {"id": uuid7(), "event_id": f"seen-{number}", "respondent_id": f"seen-{number}", "invitation_id": None}
    earlier = {**other, "decided_at": datetime(2026, 2, 1, tzinfo=UTC)}
    return tuple(earlier.get(name, value) for name, value in sample.items())


@asynccontextmanager
async def open_bench() -> AsyncIterator[TriggerBench]:
    folder = Path(tempfile.mkdtemp(prefix="eb-"))
    server = embedded.start(folder / "pg")
    async with AsyncExitStack() as resources:
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        resources.callback(server.stop)
        broker = resources.enter_context(Broker())
        urls = await embedded.prepare(server)
        of_limit = await embedded.prepare(server, "of_limit")
        for url in (urls["trigger"], of_limit["trigger"]):
            await databases.migrate({"trigger": url})
        admin = await database_url.connect(server.admin_url)
        await admin.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.execute("GRANT pg_checkpoint TO trigger")
        await admin.close()
        await create_topics(broker.url, [CRM_EVENTS])
        database, copied = (db.Database(each["trigger"], schema="trigger") for each in (urls, of_limit))
        resources.push_async_callback(database.close)
        resources.push_async_callback(copied.close)
        event_log = open_log(broker.url)
        resources.push_async_callback(event_log.close)
        bench = TriggerBench(database, copied, event_log, server)
        await bench.prepare()
        async with open_trigger_processes(urls["trigger"], broker.url, processes=PROCESSES) as processes:
            await bench.use_processes(processes)
            yield bench
