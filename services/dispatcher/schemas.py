"""What dispatcher serves as JSON. No contact address in clear."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from services.dispatcher.channels import mime
from services.dispatcher.repository.mailbox import Kept
from services.dispatcher.repository.suppressions import Stored
from shared.events import Consent, Contact, EventRef, ProgramRef, SurveyRequested
from shared.vocabulary import AttemptState, ChannelKind, InvitationOutcome, SuppressionReason


class AttemptStory(BaseModel):
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


class StepStory(BaseModel):
    step: int
    channel: ChannelKind
    state: str
    due_at: datetime | None
    tries: int
    reason: str | None
    account: str | None
    attempts: list[AttemptStory]


class InvitationStory(BaseModel):
    """Everything that happened to an invitation, in order."""

    id: UUID
    respondent_id: str
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
    consent: Consent
    steps: list[StepStory]


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


class Suppressed(BaseModel):
    """`channel` and `program` null mean all; `until` null means for ever."""

    id: UUID
    respondent_id: str
    channel: ChannelKind | None
    program: str | None
    reason: SuppressionReason
    until: datetime | None
    at: datetime


class SuppressionList(BaseModel):
    suppressions: list[Suppressed]


def suppressed(stored: Stored) -> Suppressed:
    fields = {name: getattr(stored, name) for name in Suppressed.model_fields}
    return Suppressed(**{**fields, "respondent_id": masked(stored.respondent_id) or ""})


def invitation_story(
    invitation: asyncpg.Record, steps: Sequence[asyncpg.Record], attempts: Sequence[asyncpg.Record]
) -> InvitationStory:
    request = SurveyRequested.model_validate_json(invitation["request"])
    by_step: dict[int, list[AttemptStory]] = {}
    for row in attempts:
        attempt = AttemptStory(attempt_id=row["id"], number=row["try"], **{name: row[name] for name in _ATTEMPT})
        by_step.setdefault(row["step"], []).append(attempt)
    return InvitationStory(
        id=invitation["id"],
        respondent_id=masked(invitation["respondent_id"]) or "",
        program=request.program,
        event=request.event,
        state=invitation["state"],
        outcome=invitation["outcome"],
        created_at=invitation["created_at"],
        send_at=request.send_at,
        expires_at=invitation["expires_at"],
        closed_at=invitation["closed_at"],
        locale=request.locale,
        time_zone=request.time_zone,
        contact=Contact(email=masked(request.contact.email), phone=masked(request.contact.phone)),
        consent=request.consent,
        steps=[StepStory(**row, attempts=by_step.get(row["step"], [])) for row in steps],
    )


_ATTEMPT = ("revision", "provider", "state", "reason", "provider_message_id", "at", "segments", "cost", "currency")


def masked(value: str | None) -> str | None:
    """Show enough of an address to recognise it: `a***@example.com`, `+7***12`; what is no address stays."""
    if not value:
        return None
    name, at, domain = value.rpartition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{value[:2]}***{value[-2:]}" if value.startswith("+") else value


def kept_message(kept: Kept) -> KeptMessage:
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
