"""Makes the partitions of the next months, and drops decisions, touchpoints and counters that are past retention."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from services.trigger.repository import quotas, retention
from shared.contract.vocabulary import Service
from shared.database import partitions
from shared.database.db import Sessions
from shared.database.isolated import isolated
from shared.database.partitions import Partition
from shared.health import Heartbeat

log = structlog.get_logger()

DECISIONS = "decisions"
FIRST = "decisions_first"  # is emptied and stays
EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class RetentionJob:
    """`kept` is how long decisions are kept at least, in machine time; None for ever."""

    sessions: Sessions
    kept: timedelta | None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "retention"))

    async def tick(self) -> None:
        async with self.sessions() as session:
            now = await partitions.machine_time(session)
        await self.run(now)

    async def run(self, now: datetime) -> None:
        async with self.sessions.begin() as session:
            await partitions.make_ahead(session, DECISIONS, now=now)
            await quotas.delete_old(session)
        for each in await self.past(now):
            with isolated("retention", service=Service.TRIGGER, outages=True, partition=each.name):
                await self._forget(each)

    async def past(self, now: datetime) -> list[Partition]:
        """Return the partitions whose decisions are all past retention."""
        if self.kept is None:
            return []
        async with self.sessions() as session:
            found = await partitions.list_partitions(session, DECISIONS)
            past = [each for each in found if each.ends_at <= now - self.kept]
            return past if await retention.has_first(session) else [each for each in past if each.name != FIRST]

    async def _forget(self, each: Partition) -> None:
        """Keep the keys, batch by batch, and drop the partition; may be interrupted and repeated anywhere."""
        after: UUID | None = UUID(int=0)
        while after is not None and not self.stop.is_set():
            async with self.sessions.begin() as session:
                after = await retention.forget_batch(session, each.name, after=after)
            self.heartbeat.beat()
        if after is None:
            async with self.sessions.begin() as session:
                await partitions.drop(session, DECISIONS, each.name)
            log.info("retention.dropped", partition=each.name, bytes=each.bytes)

    async def report(self) -> list[str]:
        """Return a line for each partition that is past retention: its name, end, rows and bytes."""
        async with self.sessions() as session:
            now = await partitions.machine_time(session)
        past = await self.past(now)  # with a session of its own: a command's pool has one connection
        async with self.sessions() as session:
            found = [(each, await retention.count(session, each.name)) for each in past]
        return [f"{each.name}\tuntil {each.ends_at:%Y-%m-%d}\t{n} rows\t{each.bytes} bytes" for each, n in found if n]
