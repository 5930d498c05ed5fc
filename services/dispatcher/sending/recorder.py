"""Records the results of steps, also across an outage of the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
import tenacity

from services.dispatcher.domain.steps import FinishedStep
from services.dispatcher.handlers import record_results
from shared import crash, metrics
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.db import is_transient
from shared.database.isolated import bisect_failures
from shared.database.session import Session, Sessions
from shared.health import Heartbeat

log = structlog.get_logger()

_RETRY_S = 0.1
_GRACE_S = 1.0  # how long recording is still retried after a stop during an outage


@dataclass(frozen=True, slots=True)
class ResultRecorder:
    """Records finished steps. A step whose result cannot be stored stays as it is until its lease ends."""

    channel: ChannelKind
    sessions: Sessions
    heartbeat: Heartbeat

    async def record(self, finished: Sequence[FinishedStep], now: datetime) -> None:
        """Record results once; raises transient database errors."""
        await self._record(finished, partial(self._store, now=now))

    async def record_until_stored(
        self, finished: Sequence[FinishedStep], now: datetime, *, stop: asyncio.Event | None
    ) -> None:
        """Record results that only this process knows, retried until the database is available again.

        After `stop` is set, they are retried for one more second; then the transient error is raised.
        """

        def give_up(state: tenacity.RetryCallState) -> bool:
            return stop is not None and stop.is_set() and (state.seconds_since_start or 0) > _GRACE_S

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_fixed(_RETRY_S),
            stop=give_up,
            before_sleep=lambda _state: self.heartbeat.waits("results of sending are not recorded"),
            reraise=True,
        )
        await self._record(finished, partial(retrying, self._store, now=now))

    async def record_within(
        self, session: Session, finished: Sequence[FinishedStep], now: datetime
    ) -> list[FinishedStep]:
        """Record results in a transaction of the caller, who calls `count` with what is returned after the commit."""
        recorded = await record_results.record(session, finished, now=now)
        if finished:
            crash.point("recording")
        return recorded

    def count(self, recorded: Sequence[FinishedStep]) -> None:
        if recorded:
            crash.point("recorded")
        for state, count in Counter(each.result.state for each in recorded).items():
            metrics.STEPS.labels(Service.DISPATCHER, self.channel, state).inc(count)

    async def _record(
        self,
        finished: Sequence[FinishedStep],
        store: Callable[[Sequence[FinishedStep]], Awaitable[list[FinishedStep]]],
    ) -> None:
        async def record(part: Sequence[FinishedStep]) -> Sequence[None]:
            self.count(await store(part))
            return [None] * len(part)

        if not finished:
            return
        for step, error in zip(finished, await bisect_failures(finished, record), strict=True):
            if error is not None:
                invitation, number = step.result.leased.key
                log.error("step.not_recorded", invitation_id=str(invitation), step=number, exc_info=error)

    async def _store(self, finished: Sequence[FinishedStep], now: datetime) -> list[FinishedStep]:
        async with self.sessions.begin() as session:
            return await self.record_within(session, finished, now)
