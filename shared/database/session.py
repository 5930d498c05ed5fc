"""Transactions on connections of the pool. SQLAlchemy keeps the pool; statements, BEGIN and COMMIT go to asyncpg."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import transactions


class Session:
    """One transaction after the other: each begins with its first statement, and ends with `commit` or `rollback`.

    Only while a transaction is open does it hold a connection. One task uses it at a time. `info` is for whoever has to
    remember something as long as the session lives.
    """

    __slots__ = ("_actions", "_driver", "_engine", "_pooled", "info")

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._pooled: PoolProxiedConnection | None = None
        self._driver: asyncpg.Connection | None = None
        self._actions: list[Callable[[], None]] = []
        self.info: dict[object, Any] = {}

    async def driver(self) -> asyncpg.Connection:
        """Return the connection of the open transaction; begin one if there is none."""
        if self._driver is None:
            pooled = await self._engine.raw_connection()
            driver = cast("asyncpg.Connection", pooled.driver_connection)
            try:
                await transactions.send(driver, command="BEGIN")
            except BaseException:
                pooled.close()
                raise
            self._pooled, self._driver = pooled, driver
        return self._driver

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call `action` after the next commit, not if the transaction is rolled back: for metrics."""
        self._actions.append(action)

    async def commit(self) -> None:
        """Commit. Raises NotCommitted; after any other error whether the transaction was committed is unknown."""
        actions, self._actions = self._actions, []
        await self._end("COMMIT")
        for action in actions:
            action()

    async def rollback(self) -> None:
        """Roll back; without an open transaction do nothing. The server rolls back for a closed connection."""
        self._actions = []
        await self._end("ROLLBACK")

    async def _end(self, command: str) -> None:
        pooled, driver = self._pooled, self._driver
        if pooled is None or driver is None:
            return
        self._pooled = self._driver = None
        try:
            if command == "COMMIT" or not driver.is_closed():
                await transactions.send(driver, command=command)
        finally:
            pooled.close()  # back to the pool

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.rollback()


class Sessions:
    """Opens sessions on one pool: `sessions()` leaves commits to the caller, `sessions.begin()` does not."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def __call__(self) -> Session:
        return Session(self._engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Session]:
        """Open a session that commits at the end of the block, and rolls back after an error."""
        async with Session(self._engine) as session:
            yield session
            await session.commit()
