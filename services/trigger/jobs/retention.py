"""Makes the partitions of the next months, and drops decisions, touchpoints, shapes and counters past retention."""

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
from shared.database.isolated import isolated
from shared.database.partitions import Partition
from shared.database.session import Sessions
from shared.health import Heartbeat

log = structlog.get_logger()

DECISIONS = "decisions"
FIRST = "decisions_first"  # is emptied and stays
EVERY_S = 3600.0
_BLOCKS = 20_000  # of a table that are read with one statement
_LONGEST_BATCH = timedelta(hours=1)  # no transaction decides for longer


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
        dropped = False
        for each in await self.past(now):
            with isolated("retention", service=Service.TRIGGER, outages=True, partition=each.name):
                dropped |= await self._forget(each)
        if dropped:
            with isolated("retention", service=Service.TRIGGER, outages=True, table="shapes"):
                await self._delete_shapes()

    async def past(self, now: datetime) -> list[Partition]:
        """Return the partitions whose decisions are all past retention."""
        if self.kept is None:
            return []
        async with self.sessions() as session:
            found = await partitions.list_partitions(session, DECISIONS)
            past = [each for each in found if each.ends_at <= now - self.kept]
            return past if await retention.has_first(session) else [each for each in past if each.name != FIRST]

    async def _forget(self, each: Partition) -> bool:
        """Keep the keys, batch by batch, and drop the partition; may be interrupted and repeated anywhere.

        Returns whether it was dropped.
        """
        after: UUID | None = UUID(int=0)
        while after is not None and not self.stop.is_set():
            async with self.sessions.begin() as session:
                after = await retention.forget_batch(session, each.name, after=after)
            self.heartbeat.beat()
        if after is None:
            async with self.sessions.begin() as session:
                await partitions.drop(session, DECISIONS, each.name)
            log.info("retention.dropped", partition=each.name, bytes=each.bytes)
        return after is None

    async def _delete_shapes(self) -> None:
        """Delete shapes that no row uses; reads all decisions once, and so only after a month was dropped."""
        async with self.sessions() as session:
            began = await partitions.machine_time(session)
            unused = await retention.shapes(session)
            tables = [each.name for each in await partitions.list_partitions(session, DECISIONS)] + ["touchpoints"]
        for table in tables:
            async with self.sessions() as session:
                blocks = await retention.blocks(session, table)
            for first in range(0, blocks, _BLOCKS):
                if self.stop.is_set():
                    return
                async with self.sessions() as session:
                    unused -= await retention.used_shapes(session, table, first=first, most=_BLOCKS)
                self.heartbeat.beat()
        async with self.sessions.begin() as session:
            deleted = await retention.delete_shapes(session, unused, since=began - _LONGEST_BATCH)
        log.info("retention.shapes_deleted", shapes=deleted)

    async def report(self) -> list[str]:
        """Return a line for each partition that is past retention: its name, end, rows and bytes."""
        async with self.sessions() as session:
            now = await partitions.machine_time(session)
        past = await self.past(now)  # with a session of its own: a command's pool has one connection
        async with self.sessions() as session:
            found = [(each, await retention.count(session, each.name)) for each in past]
        return [f"{each.name}\tuntil {each.ends_at:%Y-%m-%d}\t{n} rows\t{each.bytes} bytes" for each, n in found if n]
