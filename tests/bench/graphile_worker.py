"""graphile-worker, a job queue on PostgreSQL, as a peer: two workers with a local queue each and a task without work.

It is installed once from its lock into `build/`, without scripts, and left out where Node or the packages are missing.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy import databases
from shared import database_url
from tests import npm
from tests.bench.frame import WrongResult
from tests.npm import NotHere

JOBS = 20_000
WORKERS = 2
NAME = "graphile-worker"
_SOURCES = Path(__file__).with_name("graphile")
_INSTALLED = databases.ROOT / "build" / "graphile"
_TIMEOUT_S = 60
_ADD = """SELECT count(*) FROM graphile_worker.add_jobs((SELECT array_agg(json_populate_record(
    NULL::graphile_worker.job_spec, '{"identifier": "noop", "payload": {}}')) FROM generate_series(1, $1::int)))"""
_LEFT = "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)"


@dataclass(frozen=True, slots=True)
class GraphileWorker:
    """Two workers that listen, and a connection to their database."""

    connection: asyncpg.Connection

    async def perform(self) -> float:
        """Add JOBS jobs in one transaction; return how many were done a second, from its commit."""
        await self.connection.execute("VACUUM ANALYZE graphile_worker._private_jobs")
        async with self.connection.transaction():
            if await self.connection.fetchval(_ADD, JOBS) != JOBS:
                raise WrongResult("not every job was added")
            began = time.perf_counter()
        async with asyncio.timeout(_TIMEOUT_S):
            while await self.connection.fetchval(_LEFT):  # noqa: ASYNC110 - other processes do the jobs
                await asyncio.sleep(0.005)
        return JOBS / (time.perf_counter() - began)


@asynccontextmanager
async def open_graphile_worker(admin_url: str) -> AsyncIterator[GraphileWorker]:
    """Start the workers on a database of their own of this server; raises NotHere."""
    await npm.install(_SOURCES, _INSTALLED)
    admin = await database_url.connect(admin_url)
    await admin.execute("CREATE DATABASE graphile")
    await admin.close()
    url = database_url.parse(admin_url).of(database="graphile")
    connection = await database_url.connect(url)
    processes: list[Process] = []
    try:
        for _ in range(WORKERS):
            processes.append(await _start(url.text))  # noqa: PERF401 - those that run are stopped where one does not start
        yield GraphileWorker(connection)
    finally:
        await connection.close()
        await _stop(processes)


async def _start(url: str) -> Process:
    worker = shutil.copy(_SOURCES / "worker.mjs", _INSTALLED)
    process = await asyncio.create_subprocess_exec("node", worker, url, cwd=_INSTALLED, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    if await process.stdout.readline() != b"ready\n":
        raise NotHere("its worker did not start")
    return process


async def _stop(processes: Sequence[Process]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    await asyncio.gather(*(process.wait() for process in processes))
