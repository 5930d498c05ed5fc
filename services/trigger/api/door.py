"""One transaction for what a request brings: answers exist only after commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tenacity

from services.trigger.handlers.batch import Terms
from services.trigger.handlers.events import Conflict, decide_events
from services.trigger.repository.decisions import StoredDecision
from services.trigger.repository.new_rows import Raced
from services.trigger.schemas import Decided
from shared import metrics, problems
from shared.clock import Clock
from shared.cloudevents import Event
from shared.db import Sessions
from shared.events import CrmPayload
from shared.vocabulary import Service

INVALID = "The event is not as it should be"
REUSED = ("This id was used before", "Source and id name one event for ever: send another event under another id.")


@dataclass(frozen=True, slots=True)
class Door:
    sessions: Sessions
    clock: Clock
    terms: Terms

    async def decide(self, events: Sequence[Event[CrmPayload]]) -> list[StoredDecision | Conflict]:
        raced = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Raced), stop=tenacity.stop_after_attempt(5), reraise=True
        )
        verdicts: list[StoredDecision | Conflict] = await raced(self._decide_once, events)
        for event in events:
            metrics.EVENTS.labels(Service.TRIGGER, event.type, "handled").inc()
        return verdicts

    async def decide_one(self, event: Event[CrmPayload]) -> Decided:
        (verdict,) = await self.decide([event])
        if isinstance(verdict, Conflict):
            raise problems.Conflict(*REUSED)
        return Decided.of(verdict)

    async def _decide_once(self, events: Sequence[Event[CrmPayload]]) -> list[StoredDecision | Conflict]:
        async with self.sessions.begin() as session:
            return await decide_events(session, events, now=self.clock.now(), terms=self.terms)
