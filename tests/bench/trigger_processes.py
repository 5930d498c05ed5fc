"""`python -m tests.bench.trigger_processes DATABASE KAFKA`: trigger's consumer, paused between runs.

It prints `ready` when it has a batch and is paused, and the number of messages it acknowledged, each on a line. It
reads the lines `go` and `hold`, and stops at the end of its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from services.trigger import main
from services.trigger.config import TriggerSettings
from shared import logging
from shared.clock import ManualClock
from shared.contract.vocabulary import Service
from shared.database import db
from shared.garbage import tune_gc
from shared.health import Heartbeat
from shared.messaging.consumer import Consumer
from shared.messaging.transport import Batch, EventLog, Readable, open_log
from shared.messaging.transport.kafka import admin_client
from shared.messaging.transport.kafka.connection import Connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMEOUT_S = 60


def consumer_of(database: db.Database, event_log: EventLog) -> Consumer:
    logs = main.EventLogs(event_log, event_log, event_log)
    return main.consumers(TriggerSettings(_env_file=None), database, logs, sources={}, clock=ManualClock(NOW))["crm"]


@dataclass(frozen=True, slots=True)
class _PausedLog:
    """A log whose batches wait for `go`, and which reports acknowledgements."""

    inner: Readable
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        async with aclosing(self.inner.read(group, topics, limit=limit, heartbeat=heartbeat)) as batches:
            async for batch in batches:
                if not self.go.is_set():
                    _report("ready")
                    await self.go.wait()
                yield Batch(batch.messages, partial(self._acknowledge, batch))

    async def _acknowledge(self, batch: Batch) -> None:
        await batch.ack()
        _report(str(len(batch.messages)))


def _report(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # one write: other processes write to the same pipe


async def _work(database_url: str, kafka_url: str) -> None:
    stop = asyncio.Event()
    async with AsyncExitStack() as resources:
        database = db.Database(database_url, schema="trigger")
        resources.push_async_callback(database.close)
        event_log = open_log(kafka_url)
        resources.push_async_callback(event_log.close)
        consumer, paused = consumer_of(database, event_log), _PausedLog(event_log)
        consumer.event_log = paused

        async def listen() -> None:
            while line := await asyncio.to_thread(sys.stdin.readline):
                paused.go.set() if line == "go\n" else paused.go.clear()
            paused.go.set()
            stop.set()

        await asyncio.gather(listen(), consumer.run(stop))


@dataclass(frozen=True, slots=True)
class TriggerProcesses:
    """Consumers of one group, each with its own partitions; their output comes on one pipe."""

    processes: Sequence[Process]
    output: asyncio.StreamReader

    def hold(self) -> None:
        self._send(b"hold\n")

    async def decide(self, messages: int) -> float:
        """Resume them once each has a batch; return the seconds until so many messages are acknowledged."""
        async with asyncio.timeout(TIMEOUT_S):
            for _ in self.processes:
                if (line := await self.output.readline()) != b"ready\n":
                    raise RuntimeError(f"a process that should be paused printed {line!r}")
            began = time.perf_counter()
            self._send(b"go\n")
            while messages > 0:
                messages -= int(await self.output.readline())
            return time.perf_counter() - began

    def peak_mb(self) -> float:
        """Return the highest peak memory of one of them, in MB."""
        return max(map(peak_mb, self.processes))

    def _send(self, line: bytes) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(line)


@asynccontextmanager
async def open_trigger_processes(
    database_url: str, kafka_url: str, *, processes: int
) -> AsyncIterator[TriggerProcesses]:
    """Start them, and wait until each has its partitions."""
    reading, writing = os.pipe()
    output = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), os.fdopen(reading, "rb"))
    command = (sys.executable, "-m", __name__, database_url, kafka_url)
    started = [
        await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=writing)
        for _ in range(processes)
    ]
    os.close(writing)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await _joined(kafka_url, processes)
        yield TriggerProcesses(started, output)
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in started))


def peak_mb(process: Process) -> float:
    """Return the peak memory of a process, see proc_pid_status(5)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


async def _joined(kafka_url: str, members: int) -> None:
    async with admin_client(Connection(kafka_url)) as admin:
        while True:
            (answer,) = await admin.describe_consumer_groups([Service.TRIGGER.group])
            (group,) = answer.to_object()["groups"]
            if group["state"] == "Stable" and len(group["members"]) == members:
                return
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    tune_gc()
    uvloop.run(_work(sys.argv[1], sys.argv[2]))
