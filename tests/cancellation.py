"""Cancels work at every turn of the event loop, and looks from another connection at what each cancellation left.

A turn is a moment at which a cancellation can find a different state: a task of the work is about to go on, or what it
waited for has just come. A task that waits makes no turns, so their number is the same on a busy machine.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from shared.database import db

Result = TypeVar("Result")

MOST_TURNS = 3000
PATIENCE_S = 5.0

_OPEN = """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND state LIKE 'idle in transaction%'"""
_LOCKS = """SELECT DISTINCT pid, locktype FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


class Turns:
    """Counts the turns of one run, and cancels its first task at turn `at`."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._first: asyncio.Task[Any] | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def make_task(self, _: asyncio.AbstractEventLoop, coroutine: Any, **of_task: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(self._drive(coroutine), **of_task)
        task.add_done_callback(lambda _: coroutine.close())  # or it warns when it was cancelled before its first step
        self._first = self._first or task
        self.tasks.append(task)
        return task

    async def _drive(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return await self._steps(coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Any, Any, Result]) -> Generator[Any, None, Result]:
        error: BaseException | None = None
        while True:
            self._turn()
            try:
                awaited = coroutine.throw(error) if error else coroutine.send(None)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if asyncio.isfuture(awaited):
                awaited.add_done_callback(lambda _: self._turn())  # runs before the task itself hears of it
            try:
                error = None
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - it is for the coroutine
                error = thrown

    def _turn(self) -> None:
        if self._left == 0 and self._first:
            self._first.cancel()
        self._left -= 1

    @property
    def came(self) -> bool:
        return self._left < 0


async def cancelled_at_every_turn(
    work: Callable[[int], Coroutine[Any, Any, Result]],
    *,
    database: db.Database,
    kept: Callable[[int, Result], Awaitable[None]],
) -> int:
    """Run `work(0)`, `work(1)` … cancelled at turn 0, 1 …, until one ends before its turn comes; return how many.

    After each run no connection of the pool is in a transaction, none holds a lock, every one of them commits, and
    what `work(turn)` returned, where it did, is shown to `kept(turn, result)`, which looks for it elsewhere.
    """
    async with _watching(database) as watcher:
        for at in range(MOST_TURNS):
            turns = Turns(at)
            finished, result = await _run(work(at), turns)
            await _nothing_stays(watcher)
            await _every_connection_commits(database, watcher, turn=at)
            if finished:
                await kept(at, result[0])
            if not turns.came:
                assert finished, "work that nobody cancelled was cancelled"
                return at
    raise AssertionError(f"not done after {MOST_TURNS} turns")


async def _run(work: Coroutine[Any, Any, Result], turns: Turns) -> tuple[bool, list[Result]]:
    """Do the work, and all that it left running; say whether it returned, and what."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(turns.make_task)
    try:
        async with asyncio.timeout(PATIENCE_S):
            task = asyncio.create_task(work)
            while running := [each for each in turns.tasks if not each.done()]:
                await asyncio.wait(running)
    finally:
        loop.set_task_factory(before)
    return (False, []) if task.cancelled() else (True, [task.result()])


@asynccontextmanager
async def _watching(database: db.Database) -> AsyncIterator[asyncpg.Connection]:
    watcher = await database.connect()
    await watcher.execute("CREATE TABLE commits (turn int, connection int)")
    try:
        yield watcher
    finally:
        await watcher.close()


async def _nothing_stays(watcher: asyncpg.Connection) -> None:
    """Wait until nothing stays; the server may need a moment to see that a connection was closed."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await watcher.fetch(_OPEN) or await watcher.fetch(_LOCKS):
                pass
    except TimeoutError:
        stays = [*await watcher.fetch(_OPEN), *await watcher.fetch(_LOCKS)]
        raise AssertionError(f"still in a transaction or holding a lock: {stays}") from None


async def _every_connection_commits(database: db.Database, watcher: asyncpg.Connection, *, turn: int) -> None:
    sessions = [database.sessions() for _ in range(database.engine.pool.size())]  # type: ignore[attr-defined]
    for number, session in enumerate(sessions):
        await db.fetch(session, "INSERT INTO commits VALUES ($1, $2)", turn, number)
    for session in sessions:
        await session.commit()
    stored = await watcher.fetchval("SELECT count(*) FROM commits WHERE turn = $1", turn)
    assert stored == len(sessions), f"{len(sessions)} commits, {stored} rows"
