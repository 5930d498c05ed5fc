"""Three brokers, of which two go away together: nothing that was acknowledged is lost, and reading goes on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from shared.topics import Topic
from shared.transport import Message, TransportUnavailable, open_log
from shared.transport.kafka import create_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.kafka.cluster import Cluster
    from shared.transport import EventLog

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

TOPIC = Topic("cluster.events", partitions=2)


@pytest.fixture
async def event_log(kafka_cluster: Cluster) -> AsyncIterator[EventLog]:
    await create_topics(kafka_cluster.url, [TOPIC])
    log = open_log(kafka_cluster.url)
    yield log
    await log.close()


async def append(log: EventLog, number: int) -> None:
    """Append until the log has it."""
    async with asyncio.timeout(60):
        while True:
            try:
                await log.append([Message(TOPIC.name, str(number), str(number).encode(), {}, "")])
            except TransportUnavailable:
                continue
            return


async def read(log: EventLog, count: int) -> set[int]:
    found: set[int] = set()
    async with asyncio.timeout(60), aclosing(log.read("cluster", [TOPIC.name])) as batches:
        while len(found) < count:
            batch = await anext(batches)
            found |= {int(message.body) for message in batch.messages}
            await batch.ack()
    return found


async def test_nothing_acknowledged_is_lost_when_two_of_three_brokers_are_killed(
    kafka_cluster: Cluster, event_log: EventLog
) -> None:
    first, second, _ = kafka_cluster.brokers
    await append(event_log, 1)
    kafka_cluster.kill([first, second])
    following = asyncio.create_task(append(event_log, 2))
    kafka_cluster.start([first, second])
    await following
    assert await read(event_log, 2) == {1, 2}
