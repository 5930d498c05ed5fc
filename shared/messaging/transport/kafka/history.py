"""Reads the records that a Kafka topic holds, outside any consumer group."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from shared.messaging.transport import TransportUnavailable
from shared.messaging.transport.kafka.closing import close_consumer
from shared.messaging.transport.kafka.lag import partitions_of
from shared.waiting import StrayCancellation, convert_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from aiokafka import TopicPartition

    from shared.messaging.transport.kafka.connection import Connection

ANSWER_SECONDS = 6.0  # this plus CLOSE_SECONDS is less than the time that a process has to stop
POLL_MS = 1_000


async def history(
    connection: Connection, topic: str, *, last: int | None, at_once: int = 500
) -> AsyncGenerator[list[Any], None]:
    """Yield the records that a topic holds at the time of the call, in order per partition.

    With `last`, only the newest `last` records of each partition. A topic that does not exist has no records. Raises
    TransportUnavailable.
    """
    consumer = AIOKafkaConsumer(**connection.options(), enable_auto_commit=False, isolation_level="read_committed")
    try:
        with convert_stray_cancellation():
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.start()
                ends = await _seek(connection, consumer, topic, last)
        while ends:
            with convert_stray_cancellation():
                fetched = await _next(consumer, ends, at_once)
            for records in fetched.values():
                yield records
    except (KafkaError, TimeoutError, StrayCancellation) as error:
        raise TransportUnavailable(f"Kafka: {type(error).__name__}") from error
    finally:
        await close_consumer(consumer)


async def _seek(connection: Connection, consumer: Any, topic: str, last: int | None) -> dict[TopicPartition, int]:
    """Assign the partitions that are not empty and seek to the first offsets to read; return their end offsets."""
    try:
        partitions = await partitions_of(connection, topic)
    except UnknownTopicOrPartitionError:
        return {}
    first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    ends = {each: end[each] for each in partitions if first[each] < end[each]}
    consumer.assign(list(ends))
    for each in ends:
        consumer.seek(each, first[each] if last is None else max(first[each], end[each] - last))
    return ends


async def _next(consumer: Any, ends: dict[TopicPartition, int], at_once: int) -> Mapping[TopicPartition, list[Any]]:
    """Read the next records and remove finished partitions from `ends`; raises TimeoutError when no records arrive."""
    silent_since = time.monotonic()
    while True:
        async with asyncio.timeout(ANSWER_SECONDS):
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=at_once)
            for each in [each for each in ends if await consumer.position(each) >= ends[each]]:
                del ends[each]
        if fetched or not ends:
            return dict(fetched)
        if time.monotonic() - silent_since > ANSWER_SECONDS:
            raise TimeoutError
