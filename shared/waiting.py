"""Waiting for events with a time limit, and distinguishing a task's own cancellation from that of what it awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class StrayCancellation(Exception):
    """An awaited future was cancelled, and the task that awaited it was not."""


def is_cancelled() -> bool:
    """Say whether the running task itself was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def convert_stray_cancellation() -> Iterator[None]:
    """Turn a CancelledError into StrayCancellation, unless the running task itself was cancelled."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise StrayCancellation("an awaited future was cancelled") from error


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for at most `seconds`; return whether it was set."""
    try:
        async with asyncio.timeout(seconds):  # asyncio.wait_for swallows cancellations on Python 3.11
            await event.wait()
    except TimeoutError:
        return False
    return True


async def wait_for_any(*events: asyncio.Event, timeout_s: float) -> None:
    """Wait until one of the events is set, for at most `timeout_s` seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
