"""Shared by the tests of scoring: events as trigger and dispatcher publish them, and a service that handles them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from uuid_utils.compat import uuid7

from services.scoring.answers import calls
from services.scoring.answers.record import Recorded
from services.scoring.answers.writer import EntryResult, Writer
from services.scoring.commands.verification import verify
from services.scoring.domain.answers import Entry
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.invitations import Invitation
from services.scoring.handlers import Handlers
from services.scoring.jobs import count_journeys, publish_scores
from services.scoring.repository import invitations
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    Brand,
    CallRequested,
    Contact,
    EventRef,
    Payload,
    PlanStep,
    ProgramRef,
    Reason,
    Reasons,
    SurveyRequested,
    Thanks,
    Window,
)
from shared.contract.vocabulary import ChannelKind, Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.relay_leadership import messages_in
from shared.web import links
from shared.web.links import Purpose

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
SECRETS = {"k1": "a secret"}
QUESTION = "How likely are you to recommend us to a friend or colleague?"
PLAN = [
    PlanStep(step=1, channel=ChannelKind.EMAIL, delay_s=0),
    PlanStep(step=2, channel=ChannelKind.EMAIL, delay_s=259200),
    PlanStep(step=3, channel=ChannelKind.SMS, delay_s=172800),
    PlanStep(step=4, channel=ChannelKind.CALL, delay_s=172800),
]
REASONS = Reasons(
    promoter=[Reason(id="taste", text="Taste and quality"), Reason(id="staff", text="Friendly staff")],
    other=[Reason(id="wait", text="Long wait"), Reason(id="staff", text="Staff"), Reason(id="price", text="Price")],
)


def requested(**changes: Any) -> SurveyRequested:
    customer = changes.get("customer_id", f"c-{uuid7()}")
    fields: dict[str, Any] = {
        "respondent_id": customer,
        "invitation_id": uuid7(),
        "customer_id": customer,
        "customer_name": "Olga Petrova",
        "event": EventRef(source="shop", id="e1", type="crm.purchase.completed", time=NOW, subject="48213"),
        "program": ProgramRef(id="after-purchase", version=3, title="After purchase"),
        "brand": Brand(name="Kofe Point"),
        "locale": "en",
        "time_zone": "Europe/Moscow",
        "question": QUESTION,
        "reasons": REASONS,
        "thanks": Thanks(promoter="Glad to hear it.", passive="Noted.", detractor="We are sorry."),
        "send_at": NOW,
        "expires_at": NOW + timedelta(days=21),
        "plan": PLAN,
        "contact": Contact(email="olga@example.com", phone="+79161234567"),
        "segments": {"store": "Tverskaya", "channel": "shop"},
        "link_key": "k1",
    }
    return SurveyRequested(**fields | changes)


def call_for(request: SurveyRequested, **changes: Any) -> CallRequested:
    fields: dict[str, Any] = {
        "respondent_id": request.respondent_id,
        "invitation_id": request.invitation_id,
        "task_id": uuid7(),
        "step": 4,
        "name": "Olga Petrova",
        "phone": "+79161234567",
        "time_zone": "Europe/Moscow",
        "locale": "en",
        "script": f"Good afternoon, this is Kofe Point. One question: {QUESTION}",
        "summary": "Order 48213, 18 November, Tverskaya",
        "window": Window(),
        "max_attempts": 3,
        "expires_at": request.expires_at,
    }
    return CallRequested(**fields | changes)


def link_of(invitation_id: UUID, *, step: int = 1) -> str:
    return f"/s/{links.token(SECRETS, 'k1', Purpose.ANSWER, invitation_id)}.{step}"


_VERSIONS = """SELECT {columns} FROM (SELECT {all} FROM answer_versions UNION ALL SELECT {all} FROM answers a
WHERE version = 1 AND NOT EXISTS (SELECT FROM answer_versions v WHERE v.answer_id = a.answer_id)) versions
ORDER BY answered_at, version"""
_OF_VERSION = "version, score, reasons, comment, suspect, answered_at, device, operator, suspicion"


@dataclass
class Scoring:
    """The service without its loops: takes events and entries, returns what it published."""

    database: db.Database
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        self.handlers = Handlers(link_secrets=SECRETS, clock=self.clock)
        self.writer = Writer(self.database.sessions)

    def events(self, *payloads: Payload) -> list[Event[Payload]]:
        return [cloudevents.new(payload, service=Service.DISPATCHER, at=NOW) for payload in payloads]

    async def receive(self, *payloads: Payload) -> None:
        async with self.database.sessions.begin() as session:
            await self.handlers(session, self.events(*payloads))

    async def asked(self, **changes: Any) -> SurveyRequested:
        request = requested(**changes)
        await self.receive(request)
        return request

    async def say(
        self, invitation_id: UUID, score: int | None = None, *, operator: str | None = None, **changes: Any
    ) -> EntryResult:
        by = named(operator) if operator else None
        return await self.writer.record(Entry(invitation_id, self.clock.now(), score, step=1, operator=by, **changes))

    async def score(self, request: SurveyRequested, score: int, **changes: Any) -> Recorded:
        result = await self.say(request.invitation_id, score, **changes)
        assert isinstance(result, Recorded)
        return result

    async def tick(self) -> int:
        now = self.clock.now()
        done = 0
        for tick in (publish_scores.publish_changes, calls.update_overdue, count_journeys.count_journeys):
            async with self.database.sessions.begin() as session:
                done += await tick(session, now=now)
        return done

    async def invitation(self, invitation_id: UUID) -> Invitation:
        async with self.database.sessions.begin() as session:
            return (await invitations.load(session, [invitation_id]))[invitation_id]

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        async with self.database.sessions.begin() as session:
            return [dict(row) for row in await db.fetch(session, sql, *args)]

    async def versions(self, columns: str) -> list[dict[str, Any]]:
        """Read columns of all versions of all answers, oldest first; the only version of an answer is its row."""
        return await self.rows(_VERSIONS.format(columns=columns, all=_OF_VERSION))

    async def published(self, kind: str | None = None) -> list[Event[Payload]]:
        """Return the events in the outbox, in order."""
        events = [codec.parse(message) for message in messages_in(await self.rows("SELECT * FROM outbox ORDER BY id"))]
        return [event for event in events if kind in (None, event.type)]


def named(operator: str) -> Operator:
    """Return the operator whom a program of the tests names."""
    return Operator.named(operator, by=UUID(int=0))


async def answer_all(scoring: Scoring, scores: list[int], **changes: object) -> list[SurveyRequested]:
    requests = [requested(**changes) for _ in scores]
    await scoring.receive(*requests)
    for request, score in zip(requests, scores, strict=True):
        await scoring.score(request, score)
    return requests


async def differences(scoring: Scoring) -> list[str]:
    """Compare the counters with a recomputation; [] when they agree."""
    async with scoring.database.sessions.begin() as session:
        return await verify(session)


async def on_desk(scoring: Scoring, **changes: Any) -> UUID:
    request = await scoring.asked()
    call = call_for(request, **changes)
    await scoring.receive(call)
    return call.task_id


async def take(client: httpx2.AsyncClient, operator: str = "Anna") -> dict[str, Any] | None:
    response = await client.post("/v1/desk/take", json={"operator": operator})
    return response.json() if response.status_code == 200 else None
