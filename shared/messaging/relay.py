"""The relay, which moves a service's outbox to the event log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from shared import crash, metrics
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.until_stopped import IDLE_S, Pause, until_stopped
from shared.health import Heartbeat
from shared.messaging import parking
from shared.messaging.relay_leadership import (
    LeaseLeadership,
    LockLeadership,
    RelayLeadership,
    Republish,
    messages_in,
    republish_nothing,
)
from shared.messaging.transport import EventLog, Message, MessageTooLarge, TransportUnavailable

log = structlog.get_logger()

STANDBY_S = 0.5  # until the next round of a relay that is not the leader


class Relay:
    """Moves one service's outbox to the event log. One relay works at a time; see `relay_leadership`."""

    def __init__(
        self,
        database: db.Database,
        event_log: EventLog,
        *,
        service: Service,
        heartbeat: Heartbeat | None = None,
        republish: Republish = republish_nothing,
    ) -> None:
        self._database = database
        self._log = event_log
        self._service = service
        self._heartbeat = heartbeat or Heartbeat(f"{service}.relay")
        self._wake = asyncio.Event()
        self._leadership: RelayLeadership = (
            LeaseLeadership(database, republish=republish)
            if database.options.pooled
            else LockLeadership(database, name=service, wake=self._wake)
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped, also across outages of the database or the log."""
        pause = Pause(IDLE_S, wake=self._wake)
        try:
            await until_stopped(self._round, stop, heartbeat=self._heartbeat, pause=pause)
        finally:
            await self._leadership.release()

    async def _round(self) -> float:
        """Publish a batch if this relay is the leader; return the seconds until the next round."""
        try:
            rows = await self._leadership.next_rows()
            messages = messages_in(rows or ())
            if rows is not None:
                metrics.OUTBOX_ROWS.labels(self._service).set(len(messages))
            if rows:
                await self._publish_batch(rows, messages)
        except TransportUnavailable:
            raise  # this relay stays the leader
        except Exception:
            await self._leadership.release()
            raise
        return STANDBY_S if rows is None else 0.0 if rows else self._leadership.idle_s

    async def _publish_batch(self, rows: Sequence[db.Row], messages: Sequence[Message]) -> None:
        if refused := await self._publish(messages):
            await self._park(refused)
        crash.point("published")
        await self._leadership.delete(rows)
        for message in messages:
            metrics.PUBLISHED.labels(self._service, message.topic).inc()

    async def _publish(self, messages: Sequence[Message]) -> list[Message]:
        """Append the messages, and return those that are too large for the log."""
        try:
            await self._log.append(messages)
        except MessageTooLarge:
            if len(messages) == 1:
                return list(messages)
            return [refused for message in messages for refused in await self._publish([message])]
        return []

    async def _park(self, messages: Sequence[Message]) -> None:
        log.error("relay.parked", topics=sorted({message.topic for message in messages}))
        metrics.PARKED.labels(self._service, "too_large").inc(len(messages))
        async with self._database.sessions.begin() as session:
            await parking.park(session, [(message, "larger than the event log takes") for message in messages])
