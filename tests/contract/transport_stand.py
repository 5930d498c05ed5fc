"""Helpers for the contract tests of the event log: a log per test on each transport, readers, deadlines."""

from __future__ import annotations

import asyncio
import functools
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec
from uuid import uuid4

from shared import database_url
from shared.contract.topics import Topic
from shared.messaging.transport import Batch, EventLog, Message, open_log
from shared.messaging.transport.kafka import create_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from deploy.kafka.broker import Broker

P = ParamSpec("P")

FIRST, SECOND = "test.first", "test.second"


def within(seconds: float) -> Callable[[Callable[P, Awaitable[None]]], Callable[P, Awaitable[None]]]:
    """Fail an async test after a time limit; tests wait for conditions and not for times."""

    def decorate(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        @functools.wraps(test)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> None:
            async with asyncio.timeout(seconds):
                await test(*args, **kwargs)

        return limited

    return decorate


@dataclass(slots=True)
class Stand:
    """Topics and a group of a transport that belong to one test."""

    url: str
    prefix: str = field(default_factory=lambda: f"t{uuid4().hex[:10]}.")
    group: str = field(default_factory=lambda: f"earshot-{uuid4().hex[:10]}")
    _logs: list[EventLog] = field(default_factory=list)

    @property
    def log(self) -> EventLog:
        return self._logs[0] if self._logs else self.another_log()

    def another_log(self) -> EventLog:
        """Open the log with new connections, as another process would."""
        self._logs.append(open_log(self.url, topic_prefix=self.prefix))
        return self._logs[-1]

    async def prepare(self) -> None:
        if self.url.startswith("kafka"):
            topics = [Topic(name, partitions=4) for name in (FIRST, SECOND)]
            await create_topics(self.url, topics, topic_prefix=self.prefix)

    async def close(self) -> None:
        for log in self._logs:
            await log.close()

    async def lag(self) -> int:
        return await self.log.lag(self.group, [FIRST])


@asynccontextmanager
async def reading(
    log: EventLog, group: str, topics: Sequence[str] = (FIRST,), *, limit: int = 500
) -> AsyncIterator[AsyncIterator[Batch]]:
    async with aclosing(log.read(group, topics, limit=limit)) as batches:
        yield batches


async def take(batches: AsyncIterator[Batch], count: int) -> list[Message]:
    """Read and acknowledge until so many messages were read."""
    taken: list[Message] = []
    while len(taken) < count:
        batch = await anext(batches)
        assert batch.messages, "a batch is never empty"
        await batch.ack()
        taken += batch.messages
    return taken


class Reader:
    """A reader in the background that acknowledges all messages and keeps them in order."""

    def __init__(self, log: EventLog, group: str) -> None:
        self.read: list[Message] = []
        self.more = asyncio.Event()
        self.task = asyncio.create_task(self._run(log, group))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})

    async def _run(self, log: EventLog, group: str) -> None:
        async with reading(log, group) as batches:
            async for batch in batches:
                await batch.ack()
                self.read += batch.messages
                self.more.set()


async def until(condition: Callable[[], bool], *readers: Reader) -> None:
    """Wait for a condition on what these have read; a reader that failed fails the test."""
    while not condition():
        for reader in readers:
            reader.more.clear()
        waits = {asyncio.create_task(reader.more.wait()) for reader in readers}
        await asyncio.wait({*waits, *(reader.task for reader in readers)}, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for reader in readers:
            if reader.task.done():
                reader.task.result()


async def warm_up(stand: Stand, readers: list[Reader], *, all_take_part: bool) -> None:
    """Append until each reader of the group has got a message, or any reader where only one is active."""
    sides = all if all_take_part else any
    rounds = 0
    while not sides(reader.read for reader in readers):
        await stand.log.append([message for n in range(30) for message in numbered(f"warm-{n}", range(1))])
        rounds += 1
        await until(have_read(readers, 30 * rounds), *readers)


def have_read(readers: list[Reader], count: int) -> Callable[[], bool]:
    return lambda: len({message.position for reader in readers for message in reader.read}) >= count


def numbered(key: str, numbers: range, *, topic: str = FIRST) -> list[Message]:
    return [Message(topic, key, str(number).encode()) for number in numbers]


def by_key(messages: Sequence[Message]) -> dict[str, list[int]]:
    """Return the numbers of each key in the order they were read."""
    found: dict[str, list[int]] = {}
    for message in messages:
        found.setdefault(message.key, []).append(int(message.body))
    return found


def once(numbers: Sequence[int]) -> list[int]:
    """Drop duplicates, as a consumer's inbox does."""
    return list(dict.fromkeys(numbers))


@asynccontextmanager
async def broker_killed(broker: Broker) -> AsyncIterator[None]:
    broker.kill()
    try:
        yield
    finally:
        broker.launch()
        await asyncio.to_thread(broker.wait_until_ready)


@asynccontextmanager
async def database_closed(admin_url: str, database: str) -> AsyncIterator[None]:
    admin = await database_url.connect(admin_url)
    try:
        # only a superuser can connect
        await admin.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT 0')
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database)
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT -1')
        await admin.close()
