"""Schemas of the JSON API; contact addresses are masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.dispatcher.domain.steps import ChainStep
from services.dispatcher.messages import mime
from services.dispatcher.repository.mailbox import MailboxMessage
from services.dispatcher.repository.suppressions import StoredSuppression
from shared.contract.events import Consent, Contact, EventRef, Id, ProgramRef, SurveyRequested
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome, SuppressionReason
from shared.zones import time_zone


class AttemptHistory(BaseModel):
    attempt_id: UUID
    number: int
    revision: int
    provider: str
    state: AttemptState
    reason: str | None
    provider_message_id: str | None
    at: datetime
    segments: int | None  # of a text message
    cost: Decimal | None
    currency: str | None


class StepHistory(BaseModel):
    step: int
    channel: ChannelKind
    state: str
    due_at: datetime | None  # until it ends
    tries: int
    reason: str | None
    account: str | None
    call_open: bool
    attempts: list[AttemptHistory]


class InvitationHistory(BaseModel):
    """Steps and attempts in order; times are in the respondent's time zone."""

    id: UUID
    respondent_id: str
    customer_id: str
    program: ProgramRef
    event: EventRef
    state: str
    outcome: InvitationOutcome | None
    created_at: datetime
    send_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    locale: str
    time_zone: str
    contact: Contact
    consent: Consent = Field(description="Consent to surveys, as it is now.")
    assumed: list[ChannelKind] = Field(description="Channels to which consent was assumed when the survey was made.")
    steps: list[StepHistory]


class KeptMessage(BaseModel):
    cursor: int
    id: UUID
    invitation_id: UUID
    step: int
    channel: ChannelKind
    to: str
    subject: str
    text: str
    html: bool
    at: datetime


class Mailbox(BaseModel):
    messages: list[KeptMessage]


OutcomeFilter = Literal["open"] | InvitationOutcome


class InvitationSummary(BaseModel):
    id: UUID
    customer_id: str
    program: str
    state: str
    outcome: InvitationOutcome | None
    send_at: datetime
    created_at: datetime
    closed_at: datetime | None


class InvitationList(BaseModel):
    """`elsewhere` counts invitations of the same customer in programs and stores that the person does not see."""

    invitations: list[InvitationSummary]
    elsewhere: int = 0


class LinkRequest(BaseModel):
    """Names an invitation, or a customer, whose newest open invitation is used; `step` is recorded with the answer."""

    model_config = ConfigDict(extra="forbid")

    invitation_id: UUID | None = None
    customer: Id | None = None
    step: Annotated[int, Field(strict=True, ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if (self.invitation_id is None) is (self.customer is None):
            raise ValueError("give either invitation_id or customer")
        return self


class LinkResponse(BaseModel):
    invitation_id: UUID
    url: str
    expires_at: datetime


class Suppressed(BaseModel):
    """`channel` null means every channel, `program` null every program, `until` null for ever."""

    id: UUID
    respondent_id: str
    channel: ChannelKind | None
    program: str | None
    reason: SuppressionReason
    until: datetime | None
    at: datetime
    binds_address: bool = Field(description="Whether addresses are suppressed too, whatever customer has them.")


class SuppressionList(BaseModel):
    suppressions: list[Suppressed]


def suppressed(stored: StoredSuppression) -> Suppressed:
    fields = {name: getattr(stored, name) for name in Suppressed.model_fields}
    return Suppressed(**{**fields, "respondent_id": masked(stored.respondent_id) or ""})


def invitation_history(
    invitation: asyncpg.Record, steps: Sequence[ChainStep], attempts: Sequence[asyncpg.Record]
) -> InvitationHistory:
    request = SurveyRequested.model_validate_json(invitation["request"])
    local = partial(_local_times, zone=time_zone(request.time_zone))
    by_step: dict[int, list[AttemptHistory]] = {}
    for row in attempts:
        attempt = AttemptHistory(
            attempt_id=row["id"], number=row["try"], **local({name: row[name] for name in _ATTEMPT})
        )
        by_step.setdefault(row["step"], []).append(attempt)
    return InvitationHistory(
        **local({name: invitation[name] for name in _INVITATION}),
        **local({"send_at": request.send_at}),
        respondent_id=masked(invitation["respondent_id"]) or "",
        customer_id=masked(request.customer_id) or "",
        program=request.program,
        event=request.event,
        locale=request.locale,
        time_zone=request.time_zone,
        contact=Contact(email=masked(request.contact.email), phone=masked(request.contact.phone)),
        consent=request.consent,
        assumed=request.assumed,
        steps=[
            StepHistory(
                step=step.number,
                attempts=by_step.get(step.number, []),
                **local({name: getattr(step, name) for name in _STEP}),
            )
            for step in steps
        ],
    )


def _local_times(row: Mapping[str, Any], *, zone: ZoneInfo) -> dict[str, Any]:
    """Convert every time of a row to a time zone."""
    return {name: value.astimezone(zone) if isinstance(value, datetime) else value for name, value in row.items()}


_INVITATION = ("id", "state", "outcome", "created_at", "expires_at", "closed_at")
_ATTEMPT = ("revision", "provider", "state", "reason", "provider_message_id", "at", "segments", "cost", "currency")
_STEP = ("channel", "state", "due_at", "tries", "reason", "account", "call_open")


def masked(value: str | None) -> str | None:
    """Mask an address so that it can still be recognised: `a***@example.com`, `+7***12`; other values stay."""
    if not value:
        return None
    name, at, domain = value.rpartition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{value[:2]}***{value[-2:]}" if value.startswith("+") else value


def kept_message(kept: MailboxMessage) -> KeptMessage:
    is_mail = kept.channel is ChannelKind.EMAIL
    return KeptMessage(
        cursor=kept.cursor,
        id=kept.id,
        invitation_id=kept.invitation_id,
        step=kept.step,
        channel=kept.channel,
        to=kept.recipient,
        subject=kept.subject,
        text=mime.read_alternative(kept.body)[0] if is_mail else kept.body.decode(),
        html=is_mail,
        at=kept.at,
    )
