"""`python -m tests.bench.messaging [messages] [--per-second N]`: what outbox and log keep of messages that passed.

Moves messages through an outbox and the log with the relay's own statements, and prints as JSON lines, every tenth of
the way: bytes on disk, and how long a poll for the next messages takes; with and without a transaction that holds an
old snapshot meanwhile, such as a long report. With `--per-second`, messages come at that rate, and no snapshot is held.
PostgreSQL has its default settings.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from deploy import databases
from shared.database import embedded
from shared.database.db import Database
from shared.messaging.relay_leadership import BATCH, LockLeadership
from shared.messaging.transport import Message
from shared.messaging.transport.postgres import PostgresLog

BODY = b"x" * 300
_ADD = """INSERT INTO outbox (topic, key, headers, body)
SELECT 'bench', number::text, '{}', $2 FROM generate_series(1, $1) AS number"""
_SIZE = "SELECT pg_total_relation_size($1::regclass)"


async def measure(messages: int, per_second: int | None) -> None:
    for snapshot in (False,) if per_second else (False, True):
        folder = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
        server = embedded.start(folder / "pg")
        try:
            urls = await embedded.prepare(server)
            await databases.migrate(urls)
            database = Database(urls["trigger"], schema="trigger")
            async with _old_snapshot(database, held=snapshot):
                await _pass(
                    database, PostgresLog(urls["transport"]), messages, snapshot=snapshot, per_second=per_second
                )
            await database.close()
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _old_snapshot(database: Database, *, held: bool) -> AsyncIterator[None]:
    connection = await database.connect()
    if held:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("SELECT 1 FROM outbox")
    yield
    await connection.close()


async def _pass(database: Database, log: PostgresLog, messages: int, *, snapshot: bool, per_second: int | None) -> None:
    writer, leader = await database.connect(), LockLeadership(database, name="bench", wake=asyncio.Event())
    polls, step = list[float](), max(BATCH, messages // 10)
    began, spent_s = time.perf_counter(), 0.0
    for passed in range(BATCH, messages + 1, BATCH):
        if per_second:
            await asyncio.sleep(began + passed / per_second - time.perf_counter())
        await writer.execute(_ADD, BATCH, BODY)
        at = time.perf_counter()
        rows = await leader.next_rows()
        polls.append(time.perf_counter() - at)
        assert rows is not None
        assert len(rows) == BATCH
        await log.append([Message(row["topic"], row["key"], row["body"], {}) for row in rows])
        await leader.delete(rows)
        spent_s += time.perf_counter() - at
        if passed % step == 0:
            figures = {
                "old_snapshot": snapshot,
                "passed": passed,
                "outbox_mb": await writer.fetchval(_SIZE, "outbox") / 1e6,
                "poll_ms": 1000 * statistics.median(polls),
                "relayed_per_s": step / spent_s,
                "seconds": time.perf_counter() - began,
            }
            sys.stdout.write(json.dumps({name: round(value, 2) for name, value in figures.items()}) + "\n")
            polls, spent_s = [], 0.0
    await leader.release()
    await writer.close()
    await log.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.messaging")
    parser.add_argument("messages", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--per-second", type=int)
    arguments = parser.parse_args()
    uvloop.run(measure(arguments.messages, arguments.per_second))
