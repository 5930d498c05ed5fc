"""The consume loop: read a batch, handle it in one transaction, acknowledge it.

A batch that fails with a transient error is retried without end. A batch that fails with another error is bisected:
the messages that cause the error are parked, the others are handled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

import structlog

from shared import crash, metrics
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.contract.vocabulary import Service
from shared.database.db import is_transient
from shared.database.isolated import bisect_failures, report_refused
from shared.database.session import Session, Sessions
from shared.health import Heartbeat
from shared.messaging import codec, parking
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message, Readable
from shared.waiting import wait_for

log = structlog.get_logger()

Handler = Callable[[Session, Sequence[Event[Payload]]], Awaitable[None]]
Decoder = Callable[[Message], Event[Payload] | None]  # None: ignore the message

MAX_FAILURES_IN_A_ROW = 100


class HandlerBroken(Exception):
    """Many valid events in a row failed, so the handler is broken: the process stops and an operator has to look."""


@dataclass(slots=True)
class Consumer:
    """Reads topics as a service's consumer group. `handler` must be idempotent: it may get the same event twice."""

    service: Service
    topics: Sequence[str]
    event_log: Readable
    sessions: Sessions
    handler: Handler
    decode: Decoder = codec.parse
    batch_size: int = 500
    retry_s: float = 0.2
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "consumer"))
    handled: Callable[[], None] = lambda: None  # called when a batch is committed
    _failures: int = field(default=0, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; the current batch is finished first."""
        reading = self.event_log.read(self.service.group, self.topics, limit=self.batch_size, heartbeat=self.heartbeat)
        async with aclosing(reading) as batches:
            following = asyncio.ensure_future(anext(batches, None))
            stopped = asyncio.ensure_future(stop.wait())
            try:
                while not stop.is_set():
                    await asyncio.wait((following, stopped), return_when=asyncio.FIRST_COMPLETED)
                    if not following.done():
                        break
                    if (batch := following.result()) is None:
                        return  # the log ended, which `supervised` reports as an error
                    if await self.handle(batch.messages, stop):
                        crash.point("handled")
                        await batch.ack()
                    following = asyncio.ensure_future(anext(batches, None))
            finally:
                stopped.cancel()
                following.cancel()
                await asyncio.wait((following,))

    async def handle(self, messages: Sequence[Message], stop: asyncio.Event) -> bool:
        """Handle and commit messages, with retries during an outage; False if `stop` was set before the commit."""
        delay = 0.0  # after a deadlock or serialization error the first retry needs no pause
        while not stop.is_set():
            try:
                with metrics.BATCH_SECONDS.labels(self.service).time():
                    await self._commit_or_park(messages)
            except Exception as error:
                if not is_transient(error):
                    raise
                metrics.RETRIES.labels(self.service).inc()
                log.warning("batch.waits", messages=len(messages), exc_info=error)
                self.heartbeat.waits(f"waits: {type(error).__name__}")
                await wait_for(stop, delay)
                delay = min(max(delay * 2, self.retry_s), 5.0)
            else:
                self.handled()
                return True
        return False

    async def _commit_or_park(self, messages: Sequence[Message]) -> None:
        for message, error in zip(messages, await bisect_failures(messages, self._commit), strict=True):
            if error is None:
                self._failures = 0
            else:
                await self._park_failed(message, error)

    async def _commit(self, messages: Sequence[Message]) -> Sequence[None]:
        events, refused = self._decode(messages)
        self.heartbeat.beat()
        async with self.sessions.begin() as session:
            await parking.park(session, refused)
            if events:
                await self.handler(session, events)
                crash.point("handling")
        for kind, number in Counter(event.type for event in events).items():
            metrics.EVENTS.labels(self.service, kind, "handled").inc(number)
        for message, reason in refused:
            metrics.PARKED.labels(self.service, "invalid").inc()
            log.warning("message.parked", topic=message.topic, position=message.position, reason=reason)
        return [None] * len(messages)

    def _decode(self, messages: Sequence[Message]) -> tuple[list[Event[Payload]], list[tuple[Message, str]]]:
        events: list[Event[Payload]] = []
        refused: list[tuple[Message, str]] = []
        for message in messages:
            try:
                if (event := self.read(message)) is not None:
                    events.append(event)
            except InvalidEvent as error:
                refused.append((message, str(error)))
        return events, refused

    def read(self, message: Message) -> Event[Payload] | None:
        """Decode a message, None if the service ignores it; any error of the decoder is raised as InvalidEvent."""
        try:
            return self.decode(message)
        except InvalidEvent:
            raise
        except Exception as error:  # noqa: BLE001 - one message from outside may not stop the others
            report_refused("event", error, service=self.service, topic=message.topic, position=message.position)
            raise InvalidEvent(f"cannot be read: {type(error).__name__}") from None

    async def _park_failed(self, message: Message, error: Exception) -> None:
        reason = f"the handler failed: {type(error).__name__}"
        async with self.sessions.begin() as session:
            await parking.park(session, [(message, reason)])
        metrics.PARKED.labels(self.service, "failed").inc()
        log.error("message.parked", topic=message.topic, position=message.position, exc_info=error)
        self._failures += 1
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            raise HandlerBroken(f"{self._failures} valid events in a row could not be handled")
