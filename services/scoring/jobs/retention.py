"""Deletes invitations and answers that are past retention, batch by batch; their sums stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from services.scoring.answers import quote_consents
from services.scoring.repository import withdrawals
from services.scoring.repository.comments import quotes
from services.scoring.repository.retention import dropping, limits
from services.scoring.repository.retention.dropping import Page
from services.scoring.repository.retention.limits import NIL, RetentionLimit
from services.scoring.repository.scores import journeys
from shared.clock import Clock
from shared.database import partitions
from shared.database.session import Session, Sessions
from shared.health import Heartbeat
from shared.waiting import wait_for

log = structlog.get_logger()

EVERY_S = 3600.0
BATCH = 500


@dataclass(frozen=True, slots=True)
class AnswerRetention:
    """`kept` is how long all of an invitation is kept at least, from when it was made and answered; None for ever."""

    sessions: Sessions
    clock: Clock
    kept: timedelta | None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "retention"))

    async def tick(self) -> None:
        await self()

    async def __call__(self) -> int:
        """Delete what is past retention and return how many invitations that were; may be interrupted anywhere."""
        if self.kept is None:
            return 0
        limit = await self._limit(self.kept)
        deleted = await self._drop(limit, dropping.asked, are_imported=False)
        deleted += await self._drop(limit, dropping.imported, are_imported=True)
        if not self.stop.is_set():
            async with self.sessions.begin() as session:
                await dropping.sweep(session, limit)
        await self._drop_purchases(limit)
        if deleted:
            log.info("retention.deleted", invitations=deleted)
        return deleted

    async def _limit(self, kept: timedelta) -> RetentionLimit:
        now = self.clock.now()
        async with self.sessions.begin() as session:
            made = await partitions.machine_time(session) - kept
        return RetentionLimit(made, bought=now - kept, now=now)

    async def _drop(self, limit: RetentionLimit, read: Callable[..., Awaitable[Page]], *, are_imported: bool) -> int:
        """Delete page by page, with pauses as long as a page took: meanwhile requests and journeys get their turn."""
        deleted, after, is_done = 0, NIL, self.stop.is_set()
        while not is_done:
            began = time.monotonic()
            async with self.sessions.begin() as session:
                await self._exclude_others(session, limit)
                page = await read(session, limit, after=after, most=BATCH)
                quoted = await quotes.quotable(session, page.answers)
                dropped = await dropping.drop(session, page, are_imported=are_imported)
                await quote_consents.end(session, [quoted[id_] for id_ in dropped if id_ in quoted], at=limit.now)
            deleted += len(dropped)
            self.heartbeat.beat()
            after = page.last
            is_last = len(page.answers) < BATCH
            is_done = is_last or await wait_for(self.stop, time.monotonic() - began)
        return deleted

    async def _exclude_others(self, session: Session, limit: RetentionLimit) -> None:
        """Wait for transactions that store requests or count journeys, and let none begin until this one ends."""
        await withdrawals.lock_requests(session, alone=True)
        await journeys.stop_counting(session)
        await limits.raise_limit(session, limit)

    async def _drop_purchases(self, limit: RetentionLimit) -> None:
        batch = BATCH
        while batch == BATCH and not self.stop.is_set():
            async with self.sessions.begin() as session:
                batch = await dropping.drop_purchases(session, limit, most=BATCH)
            self.heartbeat.beat()

    async def past(self) -> dict[str, int]:
        """Return how many rows of each kind are past retention."""
        if self.kept is None:
            return {}
        limit = await self._limit(self.kept)
        async with self.sessions.begin() as session:
            return await dropping.count(session, limit)
