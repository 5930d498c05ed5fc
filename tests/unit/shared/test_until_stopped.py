"""A loop continues after transient errors only; a long-lived task that ends early ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from shared.database.until_stopped import EndedUnexpectedly, Pause, supervised, until_stopped, while_busy
from shared.health import Heartbeat
from shared.messaging.transport import TransportUnavailable


async def test_outages_are_waited_out_and_told() -> None:
    stop, heartbeat = asyncio.Event(), Heartbeat("scoring.relay")
    errors = iter([ConnectionError(), TimeoutError(), TransportUnavailable("gone")])

    async def work() -> None:
        if error := next(errors, None):
            raise error
        stop.set()

    async with asyncio.timeout(10):
        await until_stopped(work, stop, heartbeat=heartbeat, pause=Pause(3600))
    assert next(errors, None) is None


async def test_error_that_will_not_pass_ends_the_loop() -> None:
    async def work() -> None:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        await until_stopped(work, asyncio.Event(), heartbeat=Heartbeat("scoring.relay"), pause=Pause(3600))


async def test_wake_during_a_round_is_not_lost() -> None:
    stop, wake, rounds = asyncio.Event(), asyncio.Event(), iter((1, 2))

    async def work() -> None:
        if next(rounds) == 2:
            stop.set()
        wake.set()  # more work comes while this round still runs

    async with asyncio.timeout(10):
        await until_stopped(work, stop, heartbeat=Heartbeat("scoring.relay"), pause=Pause(3600, wake=wake))
    assert next(rounds, None) is None


async def test_busy_loop_goes_on_at_once_and_a_stop_ends_its_rest() -> None:
    stop, left = asyncio.Event(), [2, 1, 0]

    async def work() -> int:
        if len(left) == 1:
            asyncio.get_running_loop().call_soon(stop.set)
        return left.pop(0)

    async with asyncio.timeout(10):
        await until_stopped(while_busy(work), stop, heartbeat=Heartbeat("scoring.relay"), pause=Pause(3600))
    assert left == []


async def returns() -> None:
    return


async def is_cancelled_inside() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future  # as aiokafka's fetcher does while it closes


@pytest.mark.parametrize("work", [returns, is_cancelled_inside])
async def test_task_that_ends_unasked_ends_its_group(work: Any) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def service() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(supervised(for_ever(), asyncio.Event(), name="scoring.relay"))
            tasks.create_task(supervised(work(), asyncio.Event(), name="scoring.consumer"))

    with pytest.raises(ExceptionGroup) as caught:
        await service()
    [error] = caught.value.exceptions
    assert isinstance(error, EndedUnexpectedly)
    assert "scoring.consumer" in str(error)


async def test_cancellation_from_inside_is_an_error_after_stop_too() -> None:
    stop = asyncio.Event()
    stop.set()
    await supervised(returns(), stop, name="scoring.relay")
    with pytest.raises(EndedUnexpectedly):
        await supervised(is_cancelled_inside(), stop, name="scoring.relay")


async def test_own_cancellation_stays_one() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(supervised(work, asyncio.Event(), name="scoring.relay"))
        await asyncio.sleep(0)
        return task

    task = await begun(for_ever())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_woken_loop_rests_for_its_shortest_pause() -> None:
    stop, wake, began = asyncio.Event(), asyncio.Event(), list[float]()

    async def work() -> None:
        began.append(asyncio.get_running_loop().time())
        wake.set()
        if len(began) == 2:
            stop.set()

    async with asyncio.timeout(10):
        pause = Pause(3600, shortest_s=0.05, wake=wake)
        await until_stopped(work, stop, heartbeat=Heartbeat("scoring.publisher"), pause=pause)
    first, second = began
    assert second - first >= 0.05


async def test_busy_loop_takes_no_shortest_pause() -> None:
    stop, left = asyncio.Event(), [2, 1]

    async def work() -> float:
        if not (rest := left.pop(0) - 1):
            stop.set()
        return 0.0 * rest

    async with asyncio.timeout(10):
        pause = Pause(3600, shortest_s=3600, wake=asyncio.Event())
        await until_stopped(work, stop, heartbeat=Heartbeat("dispatcher.sender"), pause=pause)
    assert left == []
