"""Waiting for one of several things, each with a limit."""

from __future__ import annotations

import asyncio


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event at most so long; say whether it came."""
    try:
        async with asyncio.timeout(seconds):  # asyncio.wait_for swallows cancellations on Python 3.11
            await event.wait()
    except TimeoutError:
        return False
    return True


async def first_of(*events: asyncio.Event, timeout_s: float) -> None:
    """Wait until one of the events is set, at most so long."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
