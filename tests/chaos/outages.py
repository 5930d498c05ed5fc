"""What goes away under a chaos run: PostgreSQL, its sessions, the broker."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

from deploy.kafka.broker import Broker
from shared import database_url, embedded

PAUSE_S = (3.0, 9.0)


@dataclass
class Outages:
    postgres: embedded.Embedded
    broker: Broker | None
    chance: random.Random
    faults: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event) -> None:
        """Let one thing after another go away and come back, until told to stop."""
        kinds = [self._terminate_sessions, self._restart_fast, self._terminate_sessions, self._restart_at_once]
        if self.broker is not None:
            kinds.insert(1, self._restart_broker)
        for kind in itertools.cycle(kinds):
            try:
                async with asyncio.timeout(self.chance.uniform(*PAUSE_S)):
                    await stop.wait()
            except TimeoutError:
                await kind()
            else:
                return

    async def _terminate_sessions(self) -> None:
        admin = await database_url.connect(self.postgres.admin_url)
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'earshot-%'"
        await admin.execute(sql)
        await admin.close()
        self.faults["sessions terminated"] += 1

    async def _restart_fast(self) -> None:
        await asyncio.to_thread(self.postgres.restart)
        self.faults["PostgreSQL restarted"] += 1

    async def _restart_at_once(self) -> None:
        await asyncio.to_thread(self.postgres.restart, crash=True)
        self.faults["PostgreSQL crashed"] += 1

    async def _restart_broker(self) -> None:
        assert self.broker is not None
        self.broker.kill()
        await asyncio.to_thread(self.broker.restart)
        self.faults["broker killed"] += 1
