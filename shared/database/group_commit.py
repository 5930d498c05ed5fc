"""Group commit: items that arrive while one transaction runs are handled together in the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.database.isolated import bisect_failures
from shared.database.session import Session, Sessions
from shared.waiting import wait_for

AT_ONCE = 500
GATHER_S = 0.002  # the longest wait for callers of the last group to send their next item

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]


def in_transaction(
    sessions: Sessions, work: Callable[[Session, Sequence[Item]], Awaitable[Sequence[Result]]]
) -> Work[Item, Result]:
    """Return a function that runs `work` on a batch in a transaction of its own and commits it."""

    async def committed(items: Sequence[Item]) -> Sequence[Result]:
        async with sessions.begin() as session:
            return await work(session, items)

    return committed


class GroupCommitter(Generic[Item, Result]):
    """Collects the items of concurrent callers into batches for `work`.

    `work` commits, and returns one result for each item, in their order.
    """

    def __init__(self, work: Work[Item, Result]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._expected = 1
        self._all_here = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Pass an item to `work` together with other callers' items; returns its result, or raises its error."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._expected:
            self._all_here.set()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            await self._do_or_isolate(batch)
            self._expected = len(batch) + len(self._waiting)

    async def _gather(self) -> None:
        """Wait up to GATHER_S for the last group's callers to send another item: fewer, larger groups commit less."""
        if len(self._waiting) < self._expected:
            self._all_here.clear()
            await wait_for(self._all_here, GATHER_S)

    async def _do_or_isolate(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        """Work on the whole batch; each caller gets the result or error of its own item."""
        results: Sequence[Result | Exception]
        try:
            results = await bisect_failures([item for item, _ in batch], self._work)
        except Exception as error:  # noqa: BLE001 - every error is passed to the callers
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
