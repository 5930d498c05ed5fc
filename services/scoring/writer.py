"""Group commit: while one transaction commits, the next answers gather; a caller hears after its own commit."""

from __future__ import annotations

import asyncio

from services.scoring.answers import Recorded, record
from services.scoring.domain.answers import Entry, Refusal
from shared import metrics
from shared.db import Sessions, is_transient
from shared.vocabulary import Service

BATCH = 500

Result = Recorded | Refusal
_Waiting = tuple[Entry, asyncio.Future[Result]]


class Writer:
    """The only one in this process who records answers."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, entry: Entry) -> Result:
        """Record what somebody says; returns once it is committed, and may be called again with the same."""
        heard: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, heard))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await heard

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            await self._commit_or_isolate(batch)

    async def _commit_or_isolate(self, batch: list[_Waiting]) -> None:
        """Commit together; what fails together is tried singly, unless the database is away."""
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            if len(batch) > 1 and not is_transient(error):
                for one in batch:
                    await self._commit_or_isolate([one])
                return
            for _, heard in batch:
                if not heard.done():
                    heard.set_exception(error)

    async def _commit(self, batch: list[_Waiting]) -> None:
        async with self._sessions.begin() as session:
            results = await record(session, [entry for entry, _ in batch])
        for (entry, heard), result in zip(batch, results, strict=True):
            if isinstance(result, Recorded) and result.new:
                metrics.ANSWERS.labels(Service.SCORING, entry.mode).inc()
            if not heard.done():
                heard.set_result(result)
