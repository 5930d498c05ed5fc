"""The way in for requests: answers exist only after commit; what comes at once is committed together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import tenacity

from services.trigger.handlers.batch import Terms
from services.trigger.handlers.events import Conflict, decide_events
from services.trigger.repository.decisions import StoredDecision
from services.trigger.repository.new_rows import Raced
from services.trigger.schemas import Decided
from shared import metrics, problems
from shared.clock import Clock
from shared.cloudevents import Event
from shared.db import Sessions, is_transient
from shared.events import CrmPayload
from shared.vocabulary import Service

INVALID = "The event is not as it should be"
REUSED = ("This id was used before", "Source and id name one event for ever: send another event under another id.")
TOGETHER = 500

Verdict = StoredDecision | Conflict
_Waiting = tuple[Event[CrmPayload], asyncio.Future[Verdict]]


@dataclass(slots=True)
class Door:
    sessions: Sessions
    clock: Clock
    terms: Terms
    _waiting: list[_Waiting] = field(default_factory=list, init=False)
    _deciding: asyncio.Task[None] | None = field(default=None, init=False)

    async def decide(self, events: Sequence[Event[CrmPayload]]) -> list[Verdict]:
        """Decide these in one transaction, in order."""
        raced = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Raced), stop=tenacity.stop_after_attempt(20), reraise=True
        )
        verdicts: list[Verdict] = await raced(self._decide_once, events)
        for kind, number in Counter(event.type for event in events).items():
            metrics.EVENTS.labels(Service.TRIGGER, kind, "handled").inc(number)
        return verdicts

    async def decide_one(self, event: Event[CrmPayload]) -> Decided:
        """Decide a single event: while one transaction commits, the next events gather for theirs."""
        heard: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, heard))
        if self._deciding is None or self._deciding.done():
            self._deciding = asyncio.create_task(self._decide_waiting())
        verdict = await heard
        if isinstance(verdict, Conflict):
            raise problems.Conflict(*REUSED)
        return Decided.of(verdict)

    async def _decide_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            await self._decide_or_isolate(batch)

    async def _decide_or_isolate(self, batch: list[_Waiting]) -> None:
        """Commit together; what fails together is tried singly, unless the database is away."""
        try:
            verdicts = await self.decide([event for event, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            if len(batch) > 1 and not is_transient(error):
                for one in batch:
                    await self._decide_or_isolate([one])
                return
            for _, heard in batch:
                if not heard.done():
                    heard.set_exception(error)
            return
        for verdict, (_, heard) in zip(verdicts, batch, strict=True):
            if not heard.done():
                heard.set_result(verdict)

    async def _decide_once(self, events: Sequence[Event[CrmPayload]]) -> list[Verdict]:
        async with self.sessions.begin() as session:
            return await decide_events(session, events, now=self.clock.now(), terms=self.terms)
