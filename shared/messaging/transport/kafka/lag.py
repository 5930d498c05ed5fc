"""The lag of a consumer group. A replay polls it, so the clients stay connected, and are replaced after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import tenacity
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from shared.messaging.transport import TransportUnavailable
from shared.messaging.transport.kafka.closing import close_admin, close_consumer
from shared.messaging.transport.kafka.connection import Connection
from shared.waiting import StrayCancellation, convert_stray_cancellation

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Clients:
    admin: Any
    consumer: Any
    resources: AsyncExitStack


class LagMeter:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asking = asyncio.Lock()
        self._clients: _Clients | None = None

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """Count the messages that the group has not acknowledged; raises TransportUnavailable.

        For compacted and transactional topics the result is an upper bound.
        """
        async with self._asking:
            try:
                with convert_stray_cancellation():
                    async with asyncio.timeout(ANSWER_SECONDS):
                        return await _retried(self._ask, group, topics)
            except (KafkaError, TimeoutError, StrayCancellation) as error:
                await self._drop()
                raise TransportUnavailable(f"Kafka: {type(error).__name__}") from error

    async def _ask(self, group: str, topics: Sequence[str]) -> int:
        clients = self._clients = self._clients or await self._open()
        partitions = _partitions(await clients.admin.describe_topics(list(topics)))
        first = await clients.consumer.beginning_offsets(partitions)
        end = await clients.consumer.end_offsets(partitions)
        committed = await clients.admin.list_consumer_group_offsets(group, partitions=partitions)
        done = {each: committed[each].offset if each in committed else 0 for each in partitions}
        return sum(max(0, end[each] - max(first[each], done[each])) for each in partitions)

    async def _open(self) -> _Clients:
        async with AsyncExitStack() as resources:
            admin = AIOKafkaAdminClient(**self._connection.options())
            resources.push_async_callback(close_admin, admin)
            await admin.start()
            consumer = AIOKafkaConsumer(**self._connection.options())
            resources.push_async_callback(close_consumer, consumer)
            await consumer.start()
            return _Clients(admin, consumer, resources.pop_all())

    async def _drop(self) -> None:
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.resources.aclose()

    async def close(self) -> None:
        async with self._asking:
            await self._drop()


_retried = tenacity.AsyncRetrying(  # a new cluster has no group coordinator for a moment
    retry=tenacity.retry_if_exception(lambda error: isinstance(error, KafkaError) and error.retriable),
    wait=tenacity.wait_fixed(0.1),
)


def _partitions(topics: Iterable[Any]) -> list[TopicPartition]:
    for topic in topics:
        if topic["error_code"]:
            raise UnknownTopicOrPartitionError(topic["topic"])
    return [
        TopicPartition(topic["topic"], partition["partition"]) for topic in topics for partition in topic["partitions"]
    ]


async def partitions_of(connection: Connection, topic: str) -> list[TopicPartition]:
    """List the partitions of a topic; raises UnknownTopicOrPartitionError."""
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        return _partitions(await admin.describe_topics([topic]))
    finally:
        await close_admin(admin)
