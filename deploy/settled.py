"""Knows when the chain has nothing left to do at the business time that is: outboxes empty, lag 0, nothing due."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deploy.all_in_one import ALL
from services.dispatcher import main as dispatcher
from services.dispatcher import repository as dispatcher_repository
from services.scoring import handlers as scoring
from services.scoring import repository as scoring_repository
from services.trigger import main as trigger
from shared import db
from shared.clock import Clock
from shared.transport import EventLog
from shared.vocabulary import Service

TOPICS = {
    Service.TRIGGER: (*trigger.CRM_TOPICS, *trigger.FEEDBACK_TOPICS),
    Service.DISPATCHER: dispatcher.TOPICS,
    Service.SCORING: scoring.TOPICS,
}
_OUTBOX = """SELECT (SELECT count(*) FROM outbox) AS waiting,
coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS written"""


@dataclass(frozen=True, slots=True)
class Chain:
    databases: Mapping[Service, db.Database]
    event_log: EventLog
    clock: Clock

    async def until_settled(self, *, look_every_s: float = 0.02) -> None:
        """Wait until two looks in a row find nothing left and nothing written in between."""
        before = None
        while True:
            left, written = await self._look()
            if not left and before == written:
                return
            before = written if not left else None
            await asyncio.sleep(look_every_s)

    async def _look(self) -> tuple[int, int]:
        left, written = await self._work_left(), 0
        for service in ALL:
            async with self.databases[service].sessions.begin() as session:
                row = (await db.fetch(session, _OUTBOX))[0]
            left += row["waiting"]
            written += row["written"]
        if not left:  # the dearest question comes last
            left = sum([await self.event_log.lag(service.group, TOPICS[service]) for service in ALL])
        return left, written

    async def _work_left(self) -> int:
        now = self.clock.now()
        async with self.databases[Service.DISPATCHER].sessions.begin() as session:
            due = await dispatcher_repository.work_left(session, now)
        async with self.databases[Service.SCORING].sessions.begin() as session:
            return due + await scoring_repository.work_left(session, now)


@asynccontextmanager
async def watch(urls: Mapping[str, str], event_log: EventLog, clock: Clock) -> AsyncIterator[Chain]:
    databases = {service: db.Database(urls[service], schema=service, pool_size=1) for service in ALL}
    try:
        yield Chain(databases, event_log, clock)
    finally:
        for database in databases.values():
            await database.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
