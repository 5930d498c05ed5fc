"""Writes to Kafka: idempotent, in order, and in bounded time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed

from shared.messaging.transport import MessageTooLarge, TransportUnavailable
from shared.messaging.transport.kafka.closing import close_producer
from shared.waiting import StrayCancellation, convert_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.messaging.transport.kafka.connection import Connection

log = structlog.get_logger()

APPEND_SECONDS = 6.0
SILENT_SECONDS = 60.0
BATCH_BYTES = 256 * 1024
# Every client reads it, and requests of one program differ in few words: they shrink to a quarter.
COMPRESSION = "lz4"
# The default of brokers (message.max.bytes).
MESSAGE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A message as it is sent to Kafka."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Producer:
    """One idempotent producer, replaced by a new one after an error that it cannot recover from.

    After a timeout the producer is kept, because it goes on sending its buffered records, in order and without
    duplicates. New records are sent only after earlier ones are acknowledged or have failed, so that an outage
    duplicates each record at most once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: Any = None
        self._starting = asyncio.Lock()
        self._discarding: asyncio.Task[None] | None = None
        self._unacknowledged: set[asyncio.Future[Any]] = set()
        self._acknowledged_at = time.monotonic()

    async def append(self, records: Sequence[OutgoingRecord]) -> None:
        """Return once all records are durable; raises MessageTooLarge, or TransportUnavailable after APPEND_SECONDS."""
        sent: list[asyncio.Future[Any]] = []
        try:
            with convert_stray_cancellation():
                async with asyncio.timeout(APPEND_SECONDS):
                    await self._await_earlier()
                    await self._send(records, sent)
        except StrayCancellation as error:
            self._discard("cancelled")
            raise TransportUnavailable("Kafka's producer has ended") from error
        except TimeoutError as error:
            raise TransportUnavailable("Kafka did not acknowledge in time") from error
        except MessageSizeTooLargeError as error:
            raise MessageTooLarge("a message is larger than Kafka accepts") from error
        except KafkaError as error:
            self._discard_if_broken(error)
            raise TransportUnavailable(f"Kafka: {type(error).__name__}") from error
        finally:
            for future in sent:
                self._follow(future)

    async def close(self) -> None:
        """Close the connections; pending appends fail."""
        if self._discarding is not None:
            await self._discarding
        if self._client is not None:
            client, self._client = self._client, None
            await close_producer(client)

    async def _send(self, records: Sequence[OutgoingRecord], sent: list[asyncio.Future[Any]]) -> None:
        client = await self._ready()
        for record in records:
            # returns as soon as the record is buffered; the future has the broker's answer
            future = await client.send(record.topic, record.value, key=record.key, headers=record.headers)
            sent.append(future)
        if sent:
            await asyncio.wait(sent)
        for future in sent:
            future.result()
        self._acknowledged_at = time.monotonic()

    async def _await_earlier(self) -> None:
        while self._unacknowledged:
            remaining = self._acknowledged_at + SILENT_SECONDS - time.monotonic()
            if remaining <= 0:
                self._discard("silent")
                return
            await asyncio.wait(self._unacknowledged, timeout=remaining)

    def _follow(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            if not self._unacknowledged:
                self._acknowledged_at = time.monotonic()
            self._unacknowledged.add(future)
            future.add_done_callback(self._on_done)
        elif not future.cancelled():
            future.exception()  # asyncio logs errors that are never retrieved, and `_send` raises only the first

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        self._unacknowledged.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is None:
            self._acknowledged_at = time.monotonic()
        elif isinstance(error, KafkaError):
            self._discard_if_broken(error)

    def _discard_if_broken(self, error: KafkaError) -> None:
        # After a refusal the producer's sequence numbers differ from the broker's, and every later send fails
        # (OutOfOrderSequenceNumber). A full buffer (KafkaTimeoutError) only means that there is an outage.
        if not error.retriable and not isinstance(error, KafkaTimeoutError | ProducerClosed):
            self._discard(type(error).__name__)

    def _discard(self, reason: str) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            self._unacknowledged.clear()
            log.warning("kafka.producer_discarded", reason=reason)
            self._discarding = asyncio.create_task(close_producer(client))

    async def _ready(self) -> Any:
        async with self._starting:
            if self._discarding is not None:
                # two producers at once could reorder the messages of a key
                await asyncio.wait({self._discarding})
            if self._client is None:
                self._client = await _started(self._connection)
                self._acknowledged_at = time.monotonic()
            return self._client


async def _started(connection: Connection) -> Any:
    client = AIOKafkaProducer(
        **connection.options(),
        enable_idempotence=True,
        acks="all",
        compression_type=COMPRESSION,
        max_batch_size=BATCH_BYTES,
        max_request_size=MESSAGE_BYTES,
    )
    try:
        await client.start()
    except BaseException:
        await close_producer(client)
        raise
    return client
