"""Closes aiokafka's clients completely and in bounded time; the only file that uses private members of aiokafka.

`stop()` may end half-way: with the CancelledError of a task that it cancelled itself, or with an error of its group
coordination; and it waits without end for a broker that cannot be reached. Then sockets stay open, and a group member
that reads nothing keeps its partitions. So `stop()` runs in a task, for a limited time; then this module cancels the
tasks and closes the connections that are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog
from aiokafka.errors import ProducerClosed

log = structlog.get_logger()

CLOSE_SECONDS = 5.0

# the private members used below, by class; a test fails when one of them is missing
PRIVATE = {
    "AIOKafkaConsumer": ("_client", "_coordinator", "_fetcher"),
    "GroupCoordinator": ("_coordination_task", "_heartbeat_task", "_commit_refresh_task"),
    "NoGroupCoordinator": ("_reset_committed_task",),
    "Fetcher": ("_fetch_task", "_pending_tasks"),
    "AIOKafkaProducer": ("_sender", "_message_accumulator"),
    "Sender": ("_sender_task",),
    "AIOKafkaAdminClient": ("_client",),
    "AIOKafkaClient": ("_conns", "_sync_task"),
}


async def close_consumer(consumer: Any) -> None:
    """Leave the group, if there is one, and close every connection; raises only the running task's cancellation."""
    await _finish(consumer.stop(), lambda: _drop_consumer(consumer))


async def close_producer(producer: Any) -> None:
    """Close every connection without delivering pending records: during an outage their delivery would not end."""
    await _finish(_stop_producer(producer), lambda: _drop_producer(producer))


async def close_admin(admin: Any) -> None:
    await _finish(admin.close(), lambda: _drop_client(admin._client))  # noqa: SLF001 - see the module


async def _stop_producer(producer: Any) -> None:
    if producer._sender is not None:  # noqa: SLF001 - see the module
        await producer._sender.close()  # noqa: SLF001 - see the module
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - see the module
    await producer.stop()


async def _finish(stopping: Coroutine[Any, Any, None], drop: Callable[[], None]) -> None:
    task = asyncio.ensure_future(stopping)
    try:
        await asyncio.wait((task,), timeout=CLOSE_SECONDS)
    finally:
        if error := _error_of(task):
            log.warning("kafka.close_failed", error=error)
            task.cancel()
            drop()  # without an await, so that a cancellation cannot interrupt it


def _error_of(task: asyncio.Future[None]) -> str:
    if not task.done():
        return "TimeoutError"
    if task.cancelled():
        return "CancelledError"
    error = task.exception()
    return type(error).__name__ if error else ""


def _drop_consumer(consumer: Any) -> None:
    if (fetcher := consumer._fetcher) is not None:  # noqa: SLF001 - see the module
        _cancel((fetcher._fetch_task, *fetcher._pending_tasks))  # noqa: SLF001 - see the module
    if (coordinator := consumer._coordinator) is not None:  # noqa: SLF001 - see the module
        _cancel(getattr(coordinator, name) for name in PRIVATE[type(coordinator).__name__])
    _drop_client(consumer._client)  # noqa: SLF001 - see the module


def _drop_producer(producer: Any) -> None:
    if producer._sender is not None:  # noqa: SLF001 - see the module
        _cancel((producer._sender._sender_task,))  # noqa: SLF001 - see the module
    _drop_client(producer.client)


def _drop_client(client: Any) -> None:
    _cancel((client._sync_task,))  # noqa: SLF001 - see the module
    for connection in list(client._conns.values()):  # noqa: SLF001 - see the module
        connection.close()


def _cancel(tasks: Iterable[asyncio.Future[Any] | None]) -> None:
    for task in tasks:
        if task is not None:
            task.cancel()
