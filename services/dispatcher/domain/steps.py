"""The steps of an invitation: their states, the results of an attempt, and what a channel is given to send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.contract.events import CallRequested, ContactAttempted
from shared.contract.vocabulary import AttemptState, ChannelKind


class StepState(StrEnum):
    WAITING = "waiting"  # for the step before it
    PLANNED = "planned"
    LEASED = "leased"
    IN_FLIGHT = "in_flight"
    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"  # may have been accepted; never sent again
    SKIPPED = "skipped"

    @property
    def attempt(self) -> AttemptState | None:
        """How the ledger calls the end of a step; None while it has not ended."""
        return AttemptState(self.value) if self in FINISHED else None


REACHED = frozenset({StepState.SENT, StepState.UNKNOWN})
FINISHED = REACHED | {StepState.REFUSED, StepState.FAILED, StepState.SKIPPED}
MAY_REACH = REACHED | {StepState.IN_FLIGHT}


class SkipReason(StrEnum):
    NO_ADDRESS = "no_address"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    NO_ACCOUNT = "no_account"  # nothing is configured that could send it


class MoveReason(StrEnum):
    """Why a step waits; one that would wait past its invitation's end is skipped for it instead."""

    CONTACT_HOURS = "contact_hours"
    CONTACT_CAP = "contact_cap"
    DAILY_CEILING = "daily_ceiling"
    COUNTRY_CEILING = "country_ceiling"


class SendResult(StrEnum):
    """What a channel says of one message."""

    SENT = "sent"
    REFUSED = "refused"  # for good: this address, this text
    NOT_ACCEPTED = "not_accepted"  # certainly not; may be tried again
    UNAVAILABLE = "unavailable"  # certainly not, and not for its own sake: the provider or the way to it is away
    UNKNOWN = "unknown"  # may have been accepted
    NOT_STARTED = "not_started"  # no time was left: it was never tried
    THROTTLED = "throttled"  # by a limit, ours or the provider's: certainly not accepted, and waits


class OutgoingMessage(msgspec.Struct, frozen=True):
    """One rendered message: `body` is a whole mail with its headers, or the text of a text message."""

    invitation_id: UUID
    step: int
    channel: ChannelKind
    recipient: str
    subject: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Bill:
    """What a text message took: its segments, and its cost where the provider says so at once."""

    segments: int | None = None
    cost: Decimal | None = None
    currency: str | None = None


class Disposition(msgspec.Struct, frozen=True):
    result: SendResult
    reason: str | None = None  # a code, never the provider's free text: it may quote an address
    message_id: str | None = None
    wait_s: float = 0.0  # how long a throttled one should wait
    bill: Bill | None = None
    account: str | None = None  # which of several accounts it was, where one stands for them


class ChainStep(msgspec.Struct, frozen=True):
    number: int
    channel: ChannelKind
    state: StepState
    due_at: datetime | None
    delay: timedelta
    call_open: bool = False


class PlannedStep(msgspec.Struct, frozen=True):
    number: int
    due_at: datetime


class LeasedStep(msgspec.Struct, frozen=True):
    """A step somebody holds: only who knows the token may move it on."""

    invitation_id: UUID
    step: int
    token: UUID
    channel: ChannelKind
    tries: int
    due_at: datetime
    account: str | None = None

    @property
    def key(self) -> tuple[UUID, int]:
        return self.invitation_id, self.step


class SendFacts(msgspec.Struct, frozen=True):
    """What decides about a claimed step, and how many earlier ones may have reached the respondent."""

    request: str  # as stored: one that cannot be read any more must not hold up the others
    suppressed: bool
    sent_before: int


class StepResult(msgspec.Struct, frozen=True):
    """How a held step ended, or, with state planned, when it is tried again."""

    leased: LeasedStep
    state: StepState
    tries: int
    account: str | None
    reason: str | None = None
    due_at: datetime | None = None
    call_task: UUID | None = None


class FinishedStep(msgspec.Struct, frozen=True):
    """The end of a held step with what it leaves behind: a message for the mailbox, a task for the desk."""

    result: StepResult
    message_id: str | None = None
    bill: Bill | None = None
    for_mailbox: OutgoingMessage | None = None
    call: CallRequested | None = None


class LedgerEntry(msgspec.Struct, frozen=True):
    """An attempt as published, with its try and what only the ledger keeps."""

    event: ContactAttempted
    number: int
    message_id: str | None = None
    bill: Bill | None = None
