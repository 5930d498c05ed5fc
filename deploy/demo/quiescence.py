"""Waits until the services have nothing to do at the current business time: outboxes empty, no lag, nothing due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from deploy.all_settings import ALL
from services.dispatcher import main as dispatcher
from services.dispatcher import repository as dispatcher_repository
from services.scoring import handlers as scoring
from services.scoring import repository as scoring_repository
from services.trigger import main as trigger
from shared.clock import Clock
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.opening import open_database
from shared.messaging.transport import EventLog

READ_TOPICS = {
    Service.TRIGGER: (*trigger.CRM_TOPICS, *trigger.FEEDBACK_TOPICS),
    Service.DISPATCHER: (*dispatcher.TOPICS, *dispatcher.PROGRAM_TOPICS),
    Service.SCORING: scoring.TOPICS,
}
_WORK_LEFT = {
    Service.DISPATCHER: dispatcher_repository.work_left,
    Service.SCORING: scoring_repository.work_left,
}
_OUTBOX = """SELECT (SELECT count(*) FROM outbox) AS waiting,
coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS written"""


@dataclass(frozen=True, slots=True)
class QuiescenceWatch:
    databases: Mapping[Service, db.Database]
    event_log: EventLog
    clock: Clock

    async def until_quiescent(self, *, poll_every_s: float = 0.03) -> None:
        """Wait until two polls in a row find no work left, and no event was written between them."""
        before = None
        while True:
            written = await self._written_when_idle()
            if written is not None and written == before:
                return
            before = written
            await asyncio.sleep(poll_every_s)

    async def _written_when_idle(self) -> int | None:
        """Return how many events were ever written to the outboxes; None while work is left."""
        written = 0
        for service in ALL:
            waiting, total = await self._outbox(service)
            if waiting or await self._due(service) or await self.event_log.lag(service.group, READ_TOPICS[service]):
                return None
            written += total
        return written

    async def _outbox(self, service: Service) -> tuple[int, int]:
        async with self.databases[service].sessions.begin() as session:
            row = (await db.fetch(session, _OUTBOX))[0]
        return row["waiting"], row["written"]

    async def _due(self, service: Service) -> int:
        if service not in _WORK_LEFT:
            return 0
        async with self.databases[service].sessions.begin() as session:
            return await _WORK_LEFT[service](session, self.clock.now())


@asynccontextmanager
async def watch(urls: Mapping[str, str], event_log: EventLog, clock: Clock) -> AsyncIterator[QuiescenceWatch]:
    """Yield a QuiescenceWatch, and close its database connections afterwards."""
    async with AsyncExitStack() as resources:
        databases = {
            service: await resources.enter_async_context(open_database(urls[service], schema=service))
            for service in ALL
        }
        yield QuiescenceWatch(databases, event_log, clock)
