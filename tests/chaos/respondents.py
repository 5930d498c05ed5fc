"""Whom a chaos run asks, and what they and the desk do: requests, answers, withdrawals, opt-outs, closed calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from shared import cloudevents
from shared.clock import StoredClock
from shared.events import (
    Brand,
    CallClosed,
    CallRequested,
    Consent,
    Contact,
    EventRef,
    Payload,
    PlanStep,
    ProgramRef,
    RespondentOptedOut,
    SurveyAnswered,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.transport import EventLog, TransportUnavailable
from shared.vocabulary import AnswerMode, CallOutcome, Category, ChannelKind, Service

CHUNK = 200
EXPIRES = timedelta(days=21)
PLAN = [
    PlanStep(step=number, channel=channel, delay_s=int(days * 86_400), max_attempts=3)
    for number, (channel, days) in enumerate(
        ((ChannelKind.EMAIL, 0), (ChannelKind.EMAIL, 3), (ChannelKind.SMS, 2), (ChannelKind.CALL, 2)), 1
    )
]
ENDS = ("answered", "withdrawn", "declined")


@dataclass
class Crowd:
    """Makes the events of a run on the event log, and remembers what it said of whom."""

    event_log: EventLog
    clock: StoredClock
    chance: random.Random
    asked: list[SurveyRequested] = field(default_factory=list)
    said: dict[UUID, str] = field(default_factory=dict)
    calls: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)  # task → invitation and step

    async def ask(self, count: int) -> Sequence[SurveyRequested]:
        now = self.clock.now()
        new = [_request(len(self.asked) + number, now) for number in range(count)]
        self.asked += new
        return new

    async def publish(self, payloads: Sequence[Payload], *, service: Service = Service.TRIGGER) -> None:
        """Append until the log has it; an append that failed may have come, and comes again."""
        now = self.clock.now()
        messages = [cloudevents.encode(cloudevents.new(each, service=service, at=now)) for each in payloads]
        while messages:
            try:
                await self.event_log.append(messages[:CHUNK])
            except TransportUnavailable:
                await asyncio.sleep(0.2)
            else:
                messages = messages[CHUNK:]

    async def speak(self, share: float) -> None:
        """Let some of those who said nothing yet say something."""
        silent = [each for each in self.asked if each.invitation_id not in self.said]
        payloads: list[Payload] = []
        for asked in self.chance.sample(silent, int(len(silent) * share)):
            end = self.chance.choices(ENDS, (6, 2, 1))[0]
            self.said[asked.invitation_id] = end
            payloads.append(_says(asked, end, self.clock.now()))
        await self.publish(payloads, service=Service.SCORING)

    async def work_desk(self) -> None:
        """Read call tasks for ever and close most of them: once a task, however often it is read."""
        async with aclosing(self.event_log.read("chaos-desk", ["survey.calls"])) as batches:
            async for batch in batches:
                events = [cloudevents.parse(message).payload for message in batch.messages]
                new = [each for each in events if isinstance(each, CallRequested) and each.task_id not in self.calls]
                self.calls |= {each.task_id: (each.invitation_id, each.step) for each in new}
                closed = [self._close(each) for each in new if self.chance.random() < 0.7]
                await self.publish(closed, service=Service.SCORING)
                await batch.ack()

    def _close(self, call: CallRequested) -> CallClosed:
        return CallClosed(
            respondent_id=call.respondent_id,
            invitation_id=call.invitation_id,
            task_id=call.task_id,
            outcome=self.chance.choice((CallOutcome.REFUSED, CallOutcome.UNREACHABLE)),
            at=self.clock.now(),
        )


def _request(number: int, now: datetime) -> SurveyRequested:
    name = f"refused{number}" if number % 50 == 49 else f"anna{number}"
    return SurveyRequested(
        respondent_id=f"customer-{number}",
        invitation_id=uuid7(),
        customer_id=f"customer-{number}",
        event=EventRef(source="shop", id=f"e{number}", type="crm.purchase.completed", time=now, subject=str(number)),
        program=ProgramRef(id="after-purchase", version=1),
        brand=Brand(name="Kofe Point"),
        locale="en",
        time_zone="UTC",
        question="How likely are you to recommend us to a friend or colleague?",
        send_at=now,
        expires_at=now + EXPIRES,
        plan=PLAN,
        contact=Contact(email=f"{name}@example.com", phone=f"+7900{number:07d}"),
        consent=Consent(email=True, sms=True, call=True),
        link_key="dev",
    )


def _says(asked: SurveyRequested, end: str, now: datetime) -> Payload:
    who: dict[str, Any] = {"respondent_id": asked.respondent_id, "invitation_id": asked.invitation_id}
    if end == "withdrawn":
        return SurveyWithdrawn(**who, reason="cancelled")
    if end == "declined":
        return RespondentOptedOut(**who, at=now)
    return SurveyAnswered(
        **who,
        customer_id=asked.customer_id,
        answer_id=uuid7(),
        version=1,
        program=asked.program,
        score=9,
        category=Category.PROMOTER,
        mode=AnswerMode.SELF,
        step=1,
        answered_at=now,
    )
