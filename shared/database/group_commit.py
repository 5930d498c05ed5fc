"""Group commit: items that arrive while one transaction runs are done together in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.db import Sessions
from shared.database.isolated import bisect_failures
from shared.waiting import wait_for

AT_ONCE = 500
GATHER_S = 0.002  # the longest wait for callers of the last group to send their next item

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]


def in_transaction(
    sessions: Sessions, work: Callable[[AsyncSession, Sequence[Item]], Awaitable[Sequence[Result]]]
) -> Work[Item, Result]:
    """Run the work on a batch in a transaction of its own."""

    async def committed(items: Sequence[Item]) -> Sequence[Result]:
        async with sessions.begin() as session:
            return await work(session, items)

    return committed


class GroupCommitter(Generic[Item, Result]):
    """Does one kind of work in this process; `work` commits, and returns a result for each item, in their order."""

    def __init__(self, work: Work[Item, Result]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._expected = 1
        self._all_here = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Do the work on one item, together with other callers' items; returns its result after the commit."""
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
        """Wait shortly for callers of the last group: every group costs a commit, however few items it has."""
        if len(self._waiting) < self._expected:
            self._all_here.clear()
            await wait_for(self._all_here, GATHER_S)

    async def _do_or_isolate(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        """Work on all together; each caller gets its own result or error."""
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
