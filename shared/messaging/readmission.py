"""Handles messages that were parked for an unknown type, value or link key, once the running version knows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from shared import metrics
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database.db import is_transient
from shared.messaging import parking
from shared.messaging.codec import InvalidEvent
from shared.messaging.consumer import Consumer
from shared.messaging.parking import Parked

log = structlog.get_logger()

EVERY_S = 600.0  # an older version may run beside this one for a while, and park more
PAGE = 500


@dataclass(frozen=True, slots=True)
class Readmission:
    """Handles parked messages of one consumer's topics again."""

    consumer: Consumer
    complete: Callable[[InvalidEvent], Awaitable[Event[Payload]]] | None = None  # reads what needs the database, too

    async def round(self) -> None:
        """Try every parked message whose type, value or key was unknown; those still unknown stay parked."""
        after: UUID | None = None
        while rows := await self._page(after):
            for row in rows:
                await self._readmit(row)
            after = rows[-1].id

    async def _page(self, after: UUID | None) -> list[Parked]:
        async with self.consumer.sessions.begin() as session:
            return await parking.list_unknown(session, self.consumer.topics, after=after, limit=PAGE)

    async def _readmit(self, row: Parked) -> None:
        try:
            event = self.consumer.read(row.message)
        except InvalidEvent:
            return
        await self._handle(row, event)

    async def replay(self, row: Parked) -> str:
        """Handle a message and delete it in the same transaction; returns why it stays parked, empty if it does not."""
        try:
            event = await self._read(row)
        except InvalidEvent as error:
            await self._store_reason(row, str(error))
            return str(error)
        return await self._handle(row, event)

    async def _read(self, row: Parked) -> Event[Payload] | None:
        try:
            return self.consumer.read(row.message)
        except InvalidEvent as error:
            if self.complete is None:
                raise
            return await self.complete(error)

    async def _handle(self, row: Parked, event: Event[Payload] | None) -> str:
        try:
            async with self.consumer.sessions.begin() as session:
                if await parking.claim(session, row.id) and event is not None:
                    await self.consumer.handler(session, [event])
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("message.parked", topic=row.message.topic, position=row.message.position)
            reason = f"the handler failed: {type(error).__name__}"
            await self._store_reason(row, reason)
            return reason
        metrics.EVENTS.labels(self.consumer.service, event.type if event else "", "readmitted").inc()
        log.info("message.readmitted", topic=row.message.topic, position=row.message.position)
        return ""

    async def _store_reason(self, row: Parked, reason: str) -> None:
        async with self.consumer.sessions.begin() as session:
            await parking.set_reason(session, row.id, reason)
