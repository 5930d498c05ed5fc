"""The shop, the respondents and the desk of a chaos run; they use the public interfaces.

They remember what was acknowledged, and repeat what was not, as a shop and a respondent would.
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

import httpx2

from shared.clock import StoredClock
from shared.contract import cloudevents
from shared.contract.events import CallClosed, CallRequested
from shared.contract.vocabulary import CallOutcome, Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.transport import EventLog, Message, TransportUnavailable
from shared.web import links
from shared.web.links import Purpose
from tests.chaos.processes import CONNECTION_ERRORS, Processes
from tests.keys import LINK_KEYS

POSTED_AT_ONCE = 100
APPENDED_AT_ONCE = 500
RESPOND_AT_ONCE = 8
PAUSE_S = 0.3
TIMEOUT_S = 30.0
SCORE = 9
ENDS = ("answered", "withdrawn", "declined")
_ASKED = """SELECT d.event_id, d.invitation_id FROM decisions d JOIN shapes s ON s.digest = d.shape
WHERE document->>'type' = 'crm.purchase.completed' AND reason = 'asked'"""


@dataclass
class Participants:
    """Sends the events and requests of a run, and remembers which were acknowledged."""

    event_log: EventLog
    clock: StoredClock
    rng: random.Random
    processes: Processes
    trigger: db.Database
    sold: int = 0
    posts: dict[str, str | None] = field(default_factory=dict)  # event → decision its sender was told; None: appended
    invited: dict[str, UUID] = field(default_factory=dict)  # purchase event → invitation
    responses: dict[UUID, str] = field(default_factory=dict)  # the response of each invitation, acknowledged or not
    acknowledged: dict[UUID, str] = field(default_factory=dict)  # the acknowledged responses
    calls: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)  # task → invitation and step
    refused: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def link(invitation: UUID, step: int = 1) -> str:
        return f"/s/{links.token(LINK_KEYS, 'k1', Purpose.ANSWER, invitation)}.{step}"

    async def sell(self, web: httpx2.AsyncClient, count: int) -> None:
        """Send so many purchases, half by HTTP, half by the event log."""
        events = [self._purchase(number) for number in range(self.sold, self.sold + count)]
        self.sold += count
        half = count // 2
        await asyncio.gather(self._append(events[:half]), self._post(web, events[half:]))

    async def find_invited(self) -> None:
        """Look up which purchases were asked about."""
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
        """Append until the log has every message; one whose append failed may be there twice."""
        while messages:
            try:
                await self.event_log.append(messages[:APPENDED_AT_ONCE])
            except TransportUnavailable:
                await asyncio.sleep(PAUSE_S)
            else:
                messages = messages[APPENDED_AT_ONCE:]

    async def _post(self, web: httpx2.AsyncClient, events: Sequence[dict[str, Any]]) -> None:
        """Post until each event is acknowledged with its decision."""
        waiting = list(events)
        while waiting:
            batch = waiting[:POSTED_AT_ONCE]
            answer = await self.ask(web, Service.TRIGGER, "/v1/events", json=batch)
            if answer is None or not answer.is_success:
                await asyncio.sleep(PAUSE_S)
                continue
            decided = {each["id"]: each["decision_id"] for each in answer.json()["results"] if "decision_id" in each}
            self.posts |= decided
            waiting = [each for each in waiting if each["id"] not in decided]

    async def ask(self, web: httpx2.AsyncClient, service: Service, path: str, **request: Any) -> httpx2.Response | None:
        """Send a POST to a random process of the service; None without an answer."""
        if not (up := self.processes.up(service)):
            return None
        try:
            answer = await web.post(self.rng.choice(up).url + path, timeout=TIMEOUT_S, **request)
        except CONNECTION_ERRORS as error:
            self.refused[type(error).__name__] += 1
            return None
        if not answer.is_success and not answer.is_redirect:
            self.refused[f"{service} {answer.status_code}"] += 1
        return answer

    async def respond(self, web: httpx2.AsyncClient, share: float) -> None:
        """Let a share of those without a response respond, and repeat every response that was not acknowledged."""
        pending = {each: event for event, each in self.invited.items() if each not in self.responses}
        chosen = self.rng.sample(list(pending), int(len(pending) * share))
        self.responses |= {each: self.rng.choices(ENDS, (6, 2, 1))[0] for each in chosen}
        repeated = {each: response for each, response in self.responses.items() if each not in self.acknowledged}
        events = {each: event for event, each in self.invited.items()}
        slots = asyncio.Semaphore(RESPOND_AT_ONCE)

        async def send(invitation: UUID, response: str) -> None:
            async with slots:
                if await self._send_response(web, invitation, response, events[invitation]):
                    self.acknowledged[invitation] = response

        await asyncio.gather(*(send(each, response) for each, response in repeated.items()))

    async def _send_response(self, web: httpx2.AsyncClient, invitation: UUID, response: str, event: str) -> bool:
        """Send a response once; True when it was acknowledged."""
        link = self.link(invitation)
        if response == "answered":
            answer = await self.ask(web, Service.SCORING, link, data={"score": str(SCORE)})
            return answer is not None and answer.status_code == httpx2.codes.SEE_OTHER
        if response == "declined":
            answer = await self.ask(web, Service.SCORING, f"{link}/stop", data={"sure": "1"})
            return answer is not None and answer.is_success
        cancelled = self._cancelled(event)
        answer = await self.ask(web, Service.TRIGGER, "/v1/events", json=cancelled)
        if answer is not None and answer.is_success:
            self.posts[cancelled["id"]] = answer.json()["decision_id"]
            return True
        return False

    async def work_desk(self) -> None:
        """Read call tasks without end, and close most of them; each task once, however often it is read."""
        async with aclosing(self.event_log.read("chaos-desk", ["survey.calls"])) as batches:
            async for batch in batches:
                events = [codec.parse(message).payload for message in batch.messages]
                new = [each for each in events if isinstance(each, CallRequested) and each.task_id not in self.calls]
                self.calls |= {each.task_id: (each.invitation_id, each.step) for each in new}
                closed = [self._close(each) for each in new if self.rng.random() < 0.7]
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
            outcome=self.rng.choice((CallOutcome.REFUSED, CallOutcome.UNREACHABLE)),
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
