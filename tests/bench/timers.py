"""Stage timers: lease 500 steps, complete 100 and plan the following with the next mark. The limit: three bulk UPDATEs.

The statements are the repository's own, in the transactions of two dispatchers, each a process; one of them is a peer.
Ours is measured with ten thousand future steps; `with_future` is the rate with 300,000 (or EARSHOT_TEST_FUTURE) divided
by that, and `buffers_per_step` what one claimed step reads. graphile-worker, another queue on PostgreSQL, is a peer
where Node is.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from deploy import databases
from services.dispatcher.repository import steps
from services.dispatcher.sending.account_balancer import CLAIM
from shared import database_url
from shared.database import db, embedded
from tests.bench import cost, graphile_worker, timers_processes
from tests.bench.frame import Measure, WrongResult
from tests.bench.graphile_worker import open_graphile_worker
from tests.bench.processes import WorkProcesses, open_processes
from tests.bench.timers_processes import DAY, EMAIL, NOW, perform_due
from tests.npm import NotHere

ITEMS = 20_000
ONE_BY_ONE = 300
FEW = 10_000
FUTURE = int(os.environ.get("EARSHOT_TEST_FUTURE", "300000"))
DISPATCHERS = 2
_INVITATIONS = """INSERT INTO invitations (id, respondent_id, program, request, unsubscribe, expires_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, n::text, 'p', '{}', int8send(n), $3 FROM generate_series($1::int8, $2::int8) n"""
_DUE = """INSERT INTO due (invitation_id, step, channel, due_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 'email', $3::timestamptz - n * interval '1 ms'
FROM generate_series($1::int8, $2::int8) n"""
_DELETE = """WITH ended AS (DELETE FROM invitations WHERE program = 'p' AND expires_at = $1 RETURNING id)
DELETE FROM due USING ended WHERE invitation_id = ended.id"""
_PLANNED = """SELECT (SELECT count(*) FROM due d JOIN invitations i ON i.id = d.invitation_id AND i.expires_at = $1
WHERE d.step = 2), (SELECT count(*) FROM held)"""
_FUTURE = """INSERT INTO due (invitation_id, step, channel, due_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 2, 'email', $3::timestamptz + (n * 7) * interval '1 s'
FROM generate_series($1::int8, $2::int8) n"""
# a step as one row that changes its state three times, without what else a step is
_LIMIT_TABLE = """CREATE TABLE IF NOT EXISTS bulk (invitation_id uuid, step int, channel text, state text,
due_at timestamptz, token uuid, leased_until timestamptz, tries int DEFAULT 0, account text,
PRIMARY KEY (invitation_id, step)) WITH (fillfactor = 70)"""
_LIMIT_ROWS = """INSERT INTO bulk (invitation_id, step, channel, state, due_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 'email', 'planned', $3 FROM generate_series($1::int8, $2::int8) n"""
_BULK = (
    """UPDATE bulk SET state = 'leased', token = $3, leased_until = clock_timestamp() + interval '30 s'
    WHERE invitation_id BETWEEN $1 AND $2 AND step = 1""",
    """UPDATE bulk SET state = 'in_flight', account = 'smtp', leased_until = clock_timestamp() + interval '30 s'
    WHERE invitation_id BETWEEN $1 AND $2 AND step = 1 AND token = $3""",
    """UPDATE bulk SET state = 'sent', token = NULL, leased_until = NULL, tries = 1
    WHERE invitation_id BETWEEN $1 AND $2 AND step = 1 AND token = $3""",
)


class TimersBench:
    name = "timers"
    gate = 0.33
    goal = 0.6

    def __init__(
        self, database: db.Database, admin: asyncpg.Connection, server: embedded.Embedded, processes: WorkProcesses
    ) -> None:
        self._database, self._admin, self._processes = database, admin, processes
        self._next = 1
        self.counters: dict[str, float] = {}
        self._meter = cost.Meter(self.counters, server, processes.ids)
        self.peers: dict[str, Measure] = {"one dispatcher": self.one_dispatcher, "one by one": self.one_by_one}

    async def limit(self) -> float:
        first = await self._fill_bulk(ITEMS)
        began = time.perf_counter()
        for start in range(first, first + ITEMS, CLAIM):
            token = uuid4()
            for statement in _BULK:
                async with self._database.sessions.begin() as session:
                    await db.fetch(session, statement, UUID(int=start), UUID(int=start + CLAIM - 1), token)
        return ITEMS / (time.perf_counter() - began)

    async def _fill_bulk(self, count: int) -> int:
        """Replace the rows of the limit; return the number of the first one."""
        async with self._database.sessions.begin() as session:
            await db.fetch(session, _LIMIT_TABLE)
            await db.fetch(session, "TRUNCATE bulk")
            first, self._next = self._next, self._next + count
            await db.fetch(session, _LIMIT_ROWS, first, self._next - 1, NOW)
        await self._settle("bulk")
        return first

    async def ours(self) -> float:
        return await self._dispatched_by(DISPATCHERS, self._meter.measure(ITEMS))

    async def one_dispatcher(self) -> float:
        return await self._dispatched_by(1, nullcontext())

    async def _dispatched_by(self, dispatchers: int, measured: AbstractContextManager[None]) -> float:
        await self._fill(ITEMS)
        wal = await self._one("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        with measured:
            seconds, claimed = await self._processes.work(processes=dispatchers)
        if claimed != ITEMS:
            raise WrongResult(f"{claimed} of {ITEMS} steps were claimed")
        self.counters["wal_bytes_per_step"] = (
            await self._one("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn") - wal
        ) / ITEMS
        await self._check(ITEMS)
        return ITEMS / seconds

    async def one_by_one(self) -> float:
        """Claim, mark and complete each step alone, as a job queue would."""
        await self._fill(ONE_BY_ONE)
        began = time.perf_counter()
        await perform_due(self._database, claim=1, mark=1)
        rate = ONE_BY_ONE / (time.perf_counter() - began)
        await self._check(ONE_BY_ONE)
        return rate

    async def _fill(self, count: int) -> int:
        """Replace the due steps by so many new ones, each with a waiting successor; return the first one's number."""
        async with self._database.sessions.begin() as session:
            await db.fetch(session, _DELETE, NOW)
            first, self._next = self._next, self._next + count
            await db.fetch(session, _INVITATIONS, first, self._next - 1, NOW)
            await db.fetch(session, _DUE, first, self._next - 1, NOW)
        await self._settle("due, held")
        return first

    async def _settle(self, tables: str) -> None:
        connection = await self._database.connect()
        await connection.execute(f"VACUUM ANALYZE {tables}")
        await connection.close()

    async def _check(self, count: int) -> None:
        async with self._database.sessions.begin() as session:
            (row,) = await db.fetch(session, _PLANNED, NOW)
        if tuple(row) != (count, 0):
            raise WrongResult(f"planned next and held are {tuple(row)}")

    async def _one(self, sql: str) -> float:
        async with self._database.sessions.begin() as session:
            return float((await db.fetch(session, sql))[0][0])

    # --- growth

    async def grow(self) -> None:
        """Measure with few future steps, then with many."""
        few, few_buffers = await self._rate(FEW, 0)
        many, many_buffers = await self._rate(FUTURE, FEW)
        self.counters["future_steps"] = FUTURE
        self.counters["with_future"] = many / few
        self.counters["buffers_per_step"] = few_buffers
        self.counters["buffers_per_step_with_future"] = many_buffers

    async def count(self) -> None:
        """Count the statements of one dispatcher, because two divide the work at random."""
        await self._fill(ITEMS)
        async with cost.statements(self._database, self.counters, items=ITEMS):
            await perform_due(self._database)

    async def _rate(self, future: int, there: int) -> tuple[float, float]:
        first = 1 << 40
        numbers = (first + there, first + future - 1)
        await self._admin.execute(_INVITATIONS, *numbers, NOW + DAY)
        await self._admin.execute(_FUTURE, *numbers, NOW + DAY)
        rates = sorted([await self.ours() for _ in range(3)])
        return rates[1], await self._buffers()

    async def _buffers(self) -> float:
        """Return the buffers that a claim of 500 steps touches, per step."""
        await self._fill(ITEMS)
        explain = f"EXPLAIN (ANALYZE, BUFFERS) {steps._CLAIM}"
        async with self._database.sessions() as session:
            lines = await db.fetch(session, explain, EMAIL, NOW, CLAIM, uuid4(), steps.LEASE)
            await session.rollback()
        total: str = next(line[0] for line in lines if "Buffers:" in line[0])
        return sum(map(int, re.findall(r"(?:hit|read)=(\d+)", total))) / CLAIM


async def _add_graphile_worker(bench: TimersBench, server: embedded.Embedded, resources: AsyncExitStack) -> None:
    try:
        workers = await resources.enter_async_context(open_graphile_worker(server.admin_url))
    except NotHere as missing:
        print(f"{graphile_worker.NAME} is left out: {missing}")  # noqa: T201 - a report
    else:
        bench.peers[f"{graphile_worker.NAME}, two workers"] = workers.perform


@asynccontextmanager
async def open_bench() -> AsyncIterator[TimersBench]:
    folder = Path(tempfile.mkdtemp(prefix="eb-"))
    server = embedded.start(folder / "pg")
    try:
        admin = await database_url.connect(server.admin_url)
        for setting in ("shared_buffers = '1GB'", "max_wal_size = '4GB'"):
            await admin.execute(f"ALTER SYSTEM SET {setting}")
        await admin.close()
        server.restart()
        urls = await embedded.prepare(server)
        await databases.migrate({"dispatcher": urls["dispatcher"]})
        database = db.Database(urls["dispatcher"], schema="dispatcher")
        owner = database_url.parse(server.admin_url).of(database=embedded.DATABASE)
        admin = await database_url.connect(owner)
        await admin.execute("SET search_path = dispatcher; SET session_replication_role = replica")  # no foreign keys
        async with AsyncExitStack() as resources:
            module, url = timers_processes.__name__, urls["dispatcher"]
            processes = await resources.enter_async_context(open_processes(module, url, processes=DISPATCHERS))
            bench = TimersBench(database, admin, server, processes)
            await bench.grow()
            await bench.count()
            await _add_graphile_worker(bench, server, resources)
            yield bench
        await admin.close()
        await database.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
