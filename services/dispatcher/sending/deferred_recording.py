"""Records the results of a batch in the transaction that marks the next batch, which saves a commit per batch.

With a transaction of their own, claiming, marking and recording took 19 % more CPU time of this process, 7 % more of
PostgreSQL's and 16 % more time; sending as a whole took 4 % and 2 % more CPU time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from services.dispatcher.domain.steps import FinishedStep
from services.dispatcher.repository import steps
from services.dispatcher.sending.rate_ceilings import DailyCeilings
from services.dispatcher.sending.recorder import ResultRecorder
from services.dispatcher.sending.rendering import RenderedStep
from shared.database.session import Session

log = structlog.get_logger()


class MarkedBatch(NamedTuple):
    """The steps that the ceilings granted, and the keys of those that are in flight now."""

    granted: Sequence[RenderedStep]
    in_flight: set[tuple[UUID, int]]

    @property
    def started(self) -> list[RenderedStep]:
        return [each for each in self.granted if each.step.leased.key in self.in_flight]


@dataclass(frozen=True, slots=True)
class DeferredRecording:
    """Marks a batch, and records the results of the previous one in the same transaction."""

    recorder: ResultRecorder
    ceilings: DailyCeilings
    stop: asyncio.Event | None

    async def mark(
        self, batch: Sequence[RenderedStep], previous: Sequence[FinishedStep], *, now: datetime, at: datetime
    ) -> MarkedBatch:
        """Record the previous results, as of `at`, and put in flight what the ceilings grant of this batch.

        When that fails, the results are recorded alone, retried until they are stored, and then the batch is marked.
        """
        sessions = self.recorder.sessions
        try:
            async with sessions.begin() as session:
                recorded = await self.recorder.record_within(session, previous, at)
                marked = await self._mark(session, batch, now)
        except Exception as error:
            if not previous:
                raise
            log.warning("sender.results_recorded_alone", exc_info=error)
            await self.recorder.record_until_stored(previous, at, stop=self.stop)
            async with sessions.begin() as session:
                return await self._mark(session, batch, now)
        self.recorder.count(recorded)
        return marked

    async def _mark(self, session: Session, batch: Sequence[RenderedStep], now: datetime) -> MarkedBatch:
        granted = await self.ceilings.take(session, batch, now)
        leased = [each.step.leased for each in granted]
        return MarkedBatch(granted, await steps.mark_in_flight(session, leased, account=self.ceilings.account.name))
