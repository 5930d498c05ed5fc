"""Three brokers, two of which fail together: nothing acknowledged is lost, and reading continues afterwards."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from deploy.kafka.broker import QUICK_START, Broker
from shared.contract.topics import Topic
from shared.health import Heartbeat
from shared.messaging.transport import Message, TransportUnavailable, open_log
from shared.messaging.transport.kafka import create_topics
from tests.kafka_broker import require_broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from deploy.kafka.cluster import Cluster
    from shared.messaging.transport import EventLog

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

TOPIC = Topic("cluster.events", partitions=2)


@pytest.fixture
async def event_log(kafka_cluster: Cluster) -> AsyncIterator[EventLog]:
    await create_topics(kafka_cluster.url, [TOPIC])
    log = open_log(kafka_cluster.url)
    yield log
    await log.close()


async def append(log: EventLog, number: int) -> None:
    """Append, and repeat it until it succeeds."""
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


async def follow(log: EventLog, group: str, heartbeat: Heartbeat, found: set[int]) -> None:
    async with aclosing(log.read(group, [TOPIC.name], heartbeat=heartbeat)) as batches:
        async for batch in batches:
            found |= {int(message.body) for message in batch.messages}
            await batch.ack()


async def until_each(is_so: Callable[[Heartbeat], bool], heartbeats: Sequence[Heartbeat]) -> None:
    async with asyncio.timeout(90):
        while not all(is_so(each) for each in heartbeats):  # noqa: ASYNC110 - the readers tell nobody
            await asyncio.sleep(0.1)


async def test_no_reader_ends_when_two_of_three_brokers_are_killed_again_and_again(
    kafka_cluster: Cluster, event_log: EventLog
) -> None:
    groups = {f"group-{number}": set[int]() for number in range(4)}
    heartbeats = [Heartbeat(name) for name in groups]
    readers = [
        asyncio.create_task(follow(event_log, name, heartbeat, found))
        for (name, found), heartbeat in zip(groups.items(), heartbeats, strict=True)
    ]
    for number, pair in enumerate(((0, 1), (1, 2)), start=1):
        await append(event_log, number)
        away = [kafka_cluster.brokers[index] for index in pair]
        kafka_cluster.kill(away)
        await until_each(lambda each: each.late_s > 3, heartbeats)
        kafka_cluster.start(away)
        await append(event_log, number + 10)
        await until_each(lambda each: each.late_s < 3, heartbeats)
    async with asyncio.timeout(60):
        while any(not {1, 2, 11, 12} <= found for found in groups.values()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
    assert [reader.done() for reader in readers] == [False] * len(readers)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)


def test_broker_starts_in_half_of_the_heap_that_it_is_given() -> None:
    require_broker()
    with Broker(jvm=("-Xmx128m", *QUICK_START)) as broker:
        assert broker.pid
