"""Whom a chaos run asks, and what they, the shop and the desk do, through the doors that everybody uses.

Whatever was acknowledged is remembered; what was not is said again, as a shop and a respondent would.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from shared.clock import StoredClock
from shared.config import DEVELOPMENT_LINK_KEYS
from shared.contract import cloudevents
from shared.contract.events import CallClosed, CallRequested
from shared.contract.vocabulary import CallOutcome, Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.transport import EventLog, Message, TransportUnavailable
from shared.web import links
from shared.web.links import Purpose
from tests.chaos.processes import GONE, Processes

POSTED_AT_ONCE = 100
APPENDED_AT_ONCE = 500
SPEAK_AT_ONCE = 8
PAUSE_S = 0.3
WITHIN_S = 30.0
SCORE = 9
ENDS = ("answered", "withdrawn", "declined")
_ASKED = "SELECT event_id, invitation_id FROM decisions WHERE type = 'crm.purchase.completed' AND reason = 'asked'"


@dataclass
class Crowd:
    """Makes the events and requests of a run, and remembers what was acknowledged of them."""

    event_log: EventLog
    clock: StoredClock
    chance: random.Random
    processes: Processes
    trigger: db.Database
    sold: int = 0
    posts: dict[str, str | None] = field(default_factory=dict)  # event → the decision that was promised, None: appended
    invited: dict[str, UUID] = field(default_factory=dict)  # purchase event → invitation
    tried: dict[UUID, str] = field(default_factory=dict)  # what somebody said, or began to say
    said: dict[UUID, str] = field(default_factory=dict)  # what was acknowledged
    calls: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)  # task → invitation and step
    refused: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def link(invitation: UUID, step: int = 1) -> str:
        return f"/s/{links.token(DEVELOPMENT_LINK_KEYS, 'dev', Purpose.ANSWER, invitation)}.{step}"

    async def sell(self, web: httpx.AsyncClient, count: int) -> None:
        """Let so many customers buy: half of the shop's events come by HTTP, half by the log."""
        events = [self._purchase(number) for number in range(self.sold, self.sold + count)]
        self.sold += count
        half = count // 2
        await asyncio.gather(self._append(events[:half]), self._post(web, events[half:]))

    async def learn(self) -> None:
        """Look up who was asked."""
        if len(self.invited) == self.sold:
            return
        async with self.trigger.sessions.begin() as session:
            rows = await db.fetch(session, _ASKED)
        self.invited |= {row["event_id"]: row["invitation_id"] for row in rows}

    async def _append(self, events: Sequence[dict[str, Any]]) -> None:
        messages = [Message("crm.events", each["data"]["customer"]["id"], json.dumps(each).encode()) for each in events]
        await self._publish(messages)
        self.posts |= dict.fromkeys((each["id"] for each in events), None)

    async def _publish(self, messages: Sequence[Message]) -> None:
        """Append until the log has it; an append that failed may have come, and comes again."""
        while messages:
            try:
                await self.event_log.append(messages[:APPENDED_AT_ONCE])
            except TransportUnavailable:
                await asyncio.sleep(PAUSE_S)
            else:
                messages = messages[APPENDED_AT_ONCE:]

    async def _post(self, web: httpx.AsyncClient, events: Sequence[dict[str, Any]]) -> None:
        """Post until each is acknowledged with its decision."""
        waiting = list(events)
        while waiting:
            batch = waiting[:POSTED_AT_ONCE]
            answer = await self.ask(web, Service.TRIGGER, "/v1/events", json=batch)
            if answer is None or not answer.is_success:
                await asyncio.sleep(PAUSE_S)
                continue
            told = {each["id"]: each["decision_id"] for each in answer.json()["results"] if "decision_id" in each}
            self.posts |= told
            waiting = [each for each in waiting if each["id"] not in told]

    async def ask(self, web: httpx.AsyncClient, service: Service, path: str, **request: Any) -> httpx.Response | None:
        """Send a POST to some process of the service; None when nobody answered."""
        if not (up := self.processes.up(service)):
            return None
        try:
            answer = await web.post(self.chance.choice(up).url + path, timeout=WITHIN_S, **request)
        except GONE as error:
            self.refused[type(error).__name__] += 1
            return None
        if not answer.is_success and not answer.is_redirect:
            self.refused[f"{service} {answer.status_code}"] += 1
        return answer

    async def speak(self, web: httpx.AsyncClient, share: float) -> None:
        """Let some who were asked and said nothing yet say something, and whoever was not heard repeat it."""
        silent = {each: event for event, each in self.invited.items() if each not in self.tried}
        chosen = self.chance.sample(list(silent), int(len(silent) * share))
        self.tried |= {each: self.chance.choices(ENDS, (6, 2, 1))[0] for each in chosen}
        unheard = {each: said for each, said in self.tried.items() if each not in self.said}
        events = {each: event for event, each in self.invited.items()}
        slots = asyncio.Semaphore(SPEAK_AT_ONCE)

        async def say(invitation: UUID, what: str) -> None:
            async with slots:
                if await self._say(web, invitation, what, events[invitation]):
                    self.said[invitation] = what

        await asyncio.gather(*(say(each, what) for each, what in unheard.items()))

    async def _say(self, web: httpx.AsyncClient, invitation: UUID, what: str, event: str) -> bool:
        """Say it once; True when it was acknowledged."""
        link = self.link(invitation)
        if what == "answered":
            answer = await self.ask(web, Service.SCORING, link, data={"score": str(SCORE)})
            return answer is not None and answer.status_code == httpx.codes.SEE_OTHER
        if what == "declined":
            answer = await self.ask(web, Service.SCORING, f"{link}/stop", data={"sure": "1"})
            return answer is not None and answer.is_success
        cancelled = self._cancelled(event)
        answer = await self.ask(web, Service.TRIGGER, "/v1/events", json=cancelled)
        if answer is not None and answer.is_success:
            self.posts[cancelled["id"]] = answer.json()["decision_id"]
            return True
        return False

    async def work_desk(self) -> None:
        """Read call tasks for ever and close most of them: once a task, however often it is read."""
        async with aclosing(self.event_log.read("chaos-desk", ["survey.calls"])) as batches:
            async for batch in batches:
                events = [codec.parse(message).payload for message in batch.messages]
                new = [each for each in events if isinstance(each, CallRequested) and each.task_id not in self.calls]
                self.calls |= {each.task_id: (each.invitation_id, each.step) for each in new}
                closed = [self._close(each) for each in new if self.chance.random() < 0.7]
                now = self.clock.now()
                await self._publish(
                    [codec.encode(cloudevents.new(each, service=Service.SCORING, at=now)) for each in closed]
                )
                await batch.ack()

    def _close(self, call: CallRequested) -> CallClosed:
        return CallClosed(
            respondent_id=call.respondent_id,
            invitation_id=call.invitation_id,
            task_id=call.task_id,
            outcome=self.chance.choice((CallOutcome.REFUSED, CallOutcome.UNREACHABLE)),
            at=self.clock.now(),
        )

    def _purchase(self, number: int) -> dict[str, Any]:
        name = f"refused{number}" if number % 50 == 49 else f"anna{number}"
        customer = {
            "id": f"customer-{number}",
            "email": f"{name}@example.com",
            "phone": f"+7900{number:07d}",
            "locale": "en",
            "time_zone": "UTC",
            "consent": {"email": True, "sms": True, "call": True},
        }
        order = {"id": f"order-{number}", "amount": "2490.00", "currency": "RUB"}
        return self._event(f"purchase-{number}", "crm.purchase.completed", customer=customer, order=order)

    def _cancelled(self, purchase: str) -> dict[str, Any]:
        number = purchase.removeprefix("purchase-")
        customer, order = {"id": f"customer-{number}"}, {"id": f"order-{number}"}
        return self._event(f"cancel-{number}", "crm.purchase.cancelled", customer=customer, order=order)

    def _event(self, id_: str, kind: str, **data: Any) -> dict[str, Any]:
        at = self.clock.now().isoformat()
        return {"specversion": "1.0", "id": id_, "source": "shop", "type": kind, "time": at, "data": data}
