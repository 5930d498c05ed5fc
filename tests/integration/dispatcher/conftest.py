"""Shared by tests of the dispatcher: a request, a dispatcher run step by step, an account that records messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import asdict
from prometheus_client import REGISTRY

from services.dispatcher import handlers
from services.dispatcher.channels import ChannelAccount
from services.dispatcher.domain.crm_fields import CrmFields
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.messages.composer import Composer
from services.dispatcher.repository import chains
from services.dispatcher.sending.sender import ChannelSender
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.address_keys import AddressKeys
from shared.contract.events import (
    Brand,
    Consent,
    Contact,
    EventRef,
    InvitationAnswered,
    Payload,
    PlanStep,
    ProgramRef,
    SurveyAnswered,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind, Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.relay_leadership import messages_in

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ADDRESS_KEYS = AddressKeys({"a1": "a secret"})
LINK_KEYS = {"dev": "only-for-this-machine"}
DEFAULT_PLAN = ((ChannelKind.EMAIL, 0), (ChannelKind.EMAIL, 3), (ChannelKind.SMS, 2), (ChannelKind.CALL, 2))


def plan(*steps: tuple[ChannelKind, float], **fields: Any) -> list[PlanStep]:
    """Build a plan of (channel, days after the step before)."""
    return [
        PlanStep(step=number, channel=channel, delay_s=int(days * 86400), **fields)
        for number, (channel, days) in enumerate(steps, 1)
    ]


def request(respondent: str = "r1", **changes: Any) -> SurveyRequested:
    fields: dict[str, Any] = {
        "respondent_id": respondent,
        "invitation_id": uuid4(),
        "customer_id": respondent,
        "customer_name": "Anna Petrova",
        "event": EventRef(source="shop", id="e1", type="crm.purchase.completed", time=NOW, subject="48213"),
        "program": ProgramRef(id="after-purchase", version=1),
        "brand": Brand(name="Kofe Point"),
        "locale": "en",
        "time_zone": "Europe/Moscow",
        "question": "How likely are you to recommend us to a friend or colleague?",
        "send_at": NOW,
        "expires_at": NOW + 21 * DAY,
        "plan": plan(*DEFAULT_PLAN),
        "contact": Contact(email=f"{respondent}@example.com", phone="+15550001"),
        "consent": Consent(email=True, sms=True, call=True),
        "segments": {"store": "Tverskaya"},
        "link_key": "dev",
    }
    return SurveyRequested(**{**fields, **changes})


def answered(asked: SurveyRequested) -> SurveyAnswered:
    return SurveyAnswered(
        respondent_id=asked.respondent_id,
        invitation_id=asked.invitation_id,
        customer_id=asked.customer_id,
        answer_id=uuid4(),
        version=1,
        program=asked.program,
        score=9,
        category=Category.PROMOTER,
        mode=AnswerMode.SELF,
        step=1,
        answered_at=NOW,
    )


def answered_anonymously(asked: SurveyRequested) -> InvitationAnswered:
    return InvitationAnswered(respondent_id=asked.respondent_id, invitation_id=asked.invitation_id)


def withdrawn(asked: SurveyRequested) -> SurveyWithdrawn:
    return SurveyWithdrawn(respondent_id=asked.respondent_id, invitation_id=asked.invitation_id, reason="cancelled")


def counted(kind: str) -> float:
    """Return how many bad items of a kind were counted so far."""
    labels = {"service": Service.DISPATCHER, "kind": kind}
    return REGISTRY.get_sample_value("earshot_bad_input_total", labels) or 0.0


@dataclass
class RememberingAccount:
    """Accepts every message, unless `answers` says otherwise; `on_send` runs while messages are in flight."""

    name: str = "remembering"
    channel: ChannelKind = ChannelKind.EMAIL
    free_slots: int = 100
    taken: list[OutgoingMessage] = field(default_factory=list)
    answers: dict[str, SendResult] = field(default_factory=dict)
    message_id: str | None = None
    budgets: list[float] = field(default_factory=list)
    on_send: Callable[[], Any] | None = None

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        assert within_s <= 10
        assert len(messages) <= self.free_slots
        self.taken += messages
        self.budgets.append(within_s)
        if self.on_send is not None:
            await self.on_send()
        return [
            Disposition(self.answers.get(message.recipient, SendResult.SENT), message_id=self.message_id)
            for message in messages
        ]

    async def close(self) -> None:
        return


@dataclass
class Chain:
    """A dispatcher without its loops: it handles events, runs tick by tick, and shows what it stored."""

    database: db.Database
    clock: ManualClock
    fields: CrmFields = field(default_factory=lambda: CrmFields("", {}))

    def sender(self, channel: ChannelKind, account: ChannelAccount | None = None, **policy: Any) -> ChannelSender:
        mode = SendMode.LIVE if account is not None else SendMode.MAILBOX
        return ChannelSender(
            channel=channel,
            sessions=self.database.sessions,
            clock=self.clock,
            composer=Composer(LINK_KEYS, "http://pub", "http://sh", "http://un", "Earshot <survey@localhost>"),
            policy=SendPolicy(**{"mode": mode, **policy}),
            address_keys=ADDRESS_KEYS,
            account=account,
        )

    async def take(self, *payloads: Payload) -> None:
        await self.take_events(
            [cloudevents.new(each, service=Service.TRIGGER, at=self.clock.now()) for each in payloads]
        )

    async def take_events(self, events: Sequence[cloudevents.Event[Payload]]) -> None:
        async with self.database.sessions.begin() as session:
            await handlers.handle(
                session,
                events,
                link_keys=LINK_KEYS,
                address_keys=ADDRESS_KEYS,
                fields=self.fields,
                now=self.clock.now(),
            )

    async def tick(self, **accounts: RememberingAccount) -> None:
        """Run all work until nothing is due now."""
        senders = [self.sender(channel, accounts.get(channel.value)) for channel in ChannelKind]
        while True:
            worked = [await sender.perform_due() for sender in senders]
            if not any([*worked, await reap(self.database.sessions, self.clock)]):
                return

    async def tick_idle(self, senders: Sequence[ChannelSender]) -> None:
        """Run these senders until no step is due now."""
        while any([await sender.perform_due() for sender in senders]):
            continue

    async def tick_at(self, moment: datetime, **accounts: RememberingAccount) -> None:
        self.clock.moment = moment
        await self.tick(**accounts)

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        async with self.database.sessions.begin() as session:
            return [dict(row) for row in await db.fetch(session, sql, *args)]

    async def steps(self, **values: Any) -> list[dict[str, Any]]:
        """Return the steps of all invitations, in order, that have these values."""
        ids = [row["id"] for row in await self.rows("SELECT id FROM invitations ORDER BY id")]
        async with self.database.sessions.begin() as session:
            found = await chains.read(session, ids)
        steps = [{"invitation_id": id_, **asdict(step)} for id_ in ids for step in found.get(id_, [])]
        return [step for step in steps if values.items() <= step.items()]

    async def expire_leases(self) -> None:
        await self.rows("UPDATE held SET leased_until = clock_timestamp() - interval '1 s'")

    async def states(self, invitation: UUID) -> list[str]:
        return [step["state"] for step in await self.steps(invitation_id=invitation)]

    async def step(self, invitation: UUID, number: int) -> dict[str, Any]:
        return (await self.steps(invitation_id=invitation, number=number))[0]

    async def outcome(self, invitation: UUID) -> str | None:
        found = await self.rows("SELECT outcome FROM invitations WHERE id = $1", invitation)
        outcome: str | None = found[0]["outcome"]
        return outcome

    async def published(self, kind: str) -> list[Any]:
        events = [codec.parse(message) for message in messages_in(await self.rows("SELECT * FROM outbox ORDER BY id"))]
        return [event.payload for event in events if event.type == kind]


@pytest.fixture
def chain(dispatcher_db: db.Database) -> Chain:
    return Chain(dispatcher_db, ManualClock(NOW))
