"""Decides events of HTTP requests and files; single events that arrive at the same time share one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import tenacity

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.handlers.events import EventIdConflict, decide_events
from services.trigger.repository.new_rows import Raced
from shared import metrics
from shared.clock import Clock
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload
from shared.contract.vocabulary import Service
from shared.database.group_commit import GroupCommitter
from shared.database.isolated import bisect_failures, report_refused
from shared.database.session import Sessions
from shared.web import problems

INVALID = "The event is not valid"
REUSED = ("This id was used before", "Source and id identify one event forever: send another event under another id.")

EventVerdict = StoredDecision | EventIdConflict


@dataclass(slots=True)
class EventIntake:
    """Decides events; every method but `try_each` commits before it returns."""

    sessions: Sessions
    clock: Clock
    settings: InstallationSettings
    _group: GroupCommitter[Event[CrmPayload], EventVerdict] = field(init=False)

    def __post_init__(self) -> None:
        self._group = GroupCommitter(self.decide)

    async def decide(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict]:
        """Decide the events in order in one transaction, repeated while another one inserts the same row first."""
        verdicts = await self._retried(self._decide_once, events)
        for kind, number in Counter(event.type for event in events).items():
            metrics.EVENTS.labels(Service.TRIGGER, kind, "handled").inc(number)
        return verdicts

    async def decide_each(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict | Exception]:
        """Decide the events; the verdict of an event that cannot be handled is its exception, others are decided."""
        verdicts = await bisect_failures(events, self.decide)
        for event, verdict in zip(events, verdicts, strict=True):
            if isinstance(verdict, Exception):
                report_refused("event", verdict, service=Service.TRIGGER, type=event.type)
        return verdicts

    async def decide_one(self, event: Event[CrmPayload]) -> StoredDecision:
        """Decide a single event, in one transaction with others that arrive at the same time; raises Conflict."""
        verdict = await self._group.do(event)
        if isinstance(verdict, EventIdConflict):
            raise problems.Conflict(*REUSED)
        return verdict

    async def try_each(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict | Exception]:
        """Return what `decide_each` would, and store nothing."""
        return await bisect_failures(events, self._try_out)

    async def _try_out(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict]:
        return await self._retried(self._decide_unstored, events)

    async def _retried(
        self,
        decide: Callable[[Sequence[Event[CrmPayload]]], Awaitable[list[EventVerdict]]],
        events: Sequence[Event[CrmPayload]],
    ) -> list[EventVerdict]:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Raced), stop=tenacity.stop_after_attempt(20), reraise=True
        )
        verdicts: list[EventVerdict] = await retrying(decide, events)
        return verdicts

    async def _decide_unstored(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict]:
        async with self.sessions() as session:  # rolls back
            return await decide_events(session, events, now=self.clock.now(), settings=self.settings)

    async def _decide_once(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict]:
        async with self.sessions.begin() as session:
            return await decide_events(session, events, now=self.clock.now(), settings=self.settings)
