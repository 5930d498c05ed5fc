"""aiokafka's clients are closed completely, whatever error their own `stop()` raises."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator, NoGroupCoordinator
from aiokafka.errors import KafkaConnectionError
from aiokafka.producer.sender import Sender

from shared.messaging.transport.kafka import closing

CLASSES: tuple[type, ...] = (
    AIOKafkaAdminClient,
    AIOKafkaClient,
    AIOKafkaConsumer,
    AIOKafkaProducer,
    Fetcher,
    GroupCoordinator,
    NoGroupCoordinator,
    Sender,
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_private_members_that_closing_needs_are_there(kind: type) -> None:
    source = inspect.getsource(kind)
    names = [*closing.PRIVATE[kind.__name__]]
    assert [name for name in names if f"self.{name}" not in source] == []


def test_nothing_private_is_used_that_the_list_does_not_name() -> None:
    assert {kind.__name__ for kind in CLASSES} == set(closing.PRIVATE)


@dataclass
class Connection:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Client:
    _conns: dict[str, Connection]
    _sync_task: asyncio.Task[Any]


@dataclass
class Consumer:
    """The members of aiokafka's consumer that closing uses, with a `stop` that fails like aiokafka's."""

    stop: Callable[[], Awaitable[None]]
    _client: Client
    _fetcher: None = None
    _coordinator: None = None
    left: list[str] = field(default_factory=list)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def cancelled_inside() -> None:
    task = asyncio.create_task(for_ever())
    task.cancel()
    await task


async def fails() -> None:
    raise KafkaConnectionError


def consumer(stop: Callable[[], Awaitable[None]]) -> Consumer:
    return Consumer(stop, Client({"1": Connection()}, asyncio.create_task(for_ever())))


async def is_dropped(made: Consumer) -> bool:
    await asyncio.wait((made._client._sync_task,), timeout=5)
    return made._client._sync_task.cancelled() and made._client._conns["1"].closed


@pytest.mark.parametrize("stop", [cancelled_inside, fails, for_ever])
async def test_what_stop_leaves_is_closed_and_the_caller_goes_on(
    stop: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "CLOSE_SECONDS", 0.05)
    made = consumer(stop)
    async with asyncio.timeout(5):
        await closing.close_consumer(made)
    assert await is_dropped(made)


async def test_own_cancellation_closes_all_the_same() -> None:
    made = consumer(for_ever)
    task = asyncio.create_task(closing.close_consumer(made))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_dropped(made)


def test_aiokafkas_clients_are_closed_in_one_place_only() -> None:
    folder = Path(closing.__file__).parent
    closes = re.compile(r"(consumer|producer|client)\.stop\b|admin\.close\b")
    files = {path.name: path.read_text() for path in folder.glob("*.py") if path.name != "closing.py"}
    assert len(files) > 4
    assert [name for name, text in files.items() if closes.search(text)] == []
