"""Outages of a chaos run: of PostgreSQL, its sessions and connections, and of one Kafka broker or two."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from deploy.kafka.cluster import Cluster
from shared import database_url
from shared.database import db
from tests.chaos.servers import Postgres, PrimaryAndStandby

PAUSE_S = (2.0, 6.0)
HANG_S = (5.0, 20.0)
DOWN_S = (4.0, 10.0)
USED_UP_S = 8.0
STANDBY_SYNC_S = 120.0
_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'earshot-%'"


@dataclass
class Outages:
    postgres: Postgres
    cluster: Cluster | None
    rng: random.Random
    each_happened: asyncio.Event = field(default_factory=asyncio.Event)
    faults: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event) -> None:
        """Cause one outage after another, in random order, until `stop` is set."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self._terminate_sessions,
            self._hang_commits,
            self._restart,
            self._use_up_connections,
            self._pause_server,
            self._crash,
        ]
        if self.cluster is not None:
            kinds += [self._kill_two_brokers, self._kill_a_broker]
        if isinstance(self.postgres, PrimaryAndStandby):
            kinds.append(self._fail_over)
        self.rng.shuffle(kinds)
        for number, kind in enumerate(itertools.cycle(kinds)):
            if number == len(kinds):
                self.each_happened.set()
            try:
                async with asyncio.timeout(self.rng.uniform(*PAUSE_S)):
                    await stop.wait()
            except TimeoutError:
                await kind()
            else:
                return

    async def _admin(self) -> asyncpg.Connection:
        return await db.retry_outages(at_most_s=0.5)(database_url.connect, self.postgres.admin_url)

    async def _terminate_sessions(self) -> None:
        admin = await self._admin()
        await admin.execute(_SESSIONS)
        await admin.close()
        self.faults["sessions terminated"] += 1

    async def _hang_commits(self) -> None:
        """Make every commit wait for a standby that does not exist."""
        try:
            await self._configure("SET synchronous_standby_names = 'ghost'")
            await asyncio.sleep(self.rng.uniform(*HANG_S))
        finally:
            await self._configure("RESET synchronous_standby_names")
        self.faults["commits hung"] += 1

    async def _configure(self, what: str) -> None:
        admin = await self._admin()
        await admin.execute(f"ALTER SYSTEM {what}")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()

    async def _use_up_connections(self) -> None:
        """Terminate the sessions and take every connection of the server, for USED_UP_S."""
        async with AsyncExitStack() as taken:
            ends = time.monotonic() + USED_UP_S
            admin = await self._admin()
            taken.push_async_callback(admin.close)
            while time.monotonic() < ends:
                await admin.execute(_SESSIONS)
                try:
                    while time.monotonic() < ends:
                        one = await database_url.connect(self.postgres.admin_url)
                        taken.push_async_callback(one.close)
                except Exception as error:
                    if not db.is_transient(error):
                        raise
                    await asyncio.sleep(0.2)
        self.faults["connections used up"] += 1

    async def _pause_server(self) -> None:
        """Pause every process of the server, so that it neither answers nor refuses."""
        stopped = _process_tree(int((self.postgres.data / "postmaster.pid").read_text().split()[0]))
        try:
            _signal(stopped, signal.SIGSTOP)
            await asyncio.sleep(self.rng.uniform(*HANG_S))
        finally:
            _signal(reversed(stopped), signal.SIGCONT)
        self.faults["PostgreSQL paused"] += 1

    async def _restart(self) -> None:
        await asyncio.to_thread(self.postgres.restart)
        self.faults["PostgreSQL restarted"] += 1

    async def _crash(self) -> None:
        await asyncio.to_thread(self.postgres.restart, crash=True)
        self.faults["PostgreSQL crashed"] += 1

    async def _fail_over(self) -> None:
        """Promote the standby, and make the former primary its standby."""
        assert isinstance(self.postgres, PrimaryAndStandby)
        await asyncio.to_thread(self.postgres.fail_over)
        await asyncio.sleep(self.rng.uniform(*DOWN_S))
        await asyncio.to_thread(self.postgres.add_standby)
        async with asyncio.timeout(STANDBY_SYNC_S):
            while not await self._has_standby():  # noqa: ASYNC110 - the server sets no event
                await asyncio.sleep(0.2)
        self.faults["failover"] += 1

    async def _has_standby(self) -> bool:
        admin = await self._admin()
        found = await admin.fetchval("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
        await admin.close()
        return bool(found)

    async def _kill_a_broker(self) -> None:
        await self._kill_brokers(1)
        self.faults["a broker killed"] += 1

    async def _kill_two_brokers(self) -> None:
        await self._kill_brokers(2)
        self.faults["two brokers killed at once"] += 1

    async def _kill_brokers(self, count: int) -> None:
        assert self.cluster is not None
        killed = self.rng.sample(self.cluster.brokers, count)
        self.cluster.kill(killed)
        await asyncio.sleep(self.rng.uniform(*DOWN_S))
        await asyncio.to_thread(self.cluster.start, killed)


def _process_tree(pid: int) -> list[int]:
    """Return a process and its children; itself first, so that it starts no new ones."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
