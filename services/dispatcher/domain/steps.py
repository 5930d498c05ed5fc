"""The steps of an invitation: their states, the messages to send, and the results of sending.

A batch makes thousands of these structs. They hold no reference cycles, so the garbage collector leaves them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.contract.events import CallRequested, ContactAttempted
from shared.contract.vocabulary import AttemptState, ChannelKind


class StepState(StrEnum):
    WAITING = "waiting"  # until the step before it has ended
    PLANNED = "planned"
    LEASED = "leased"
    IN_FLIGHT = "in_flight"
    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"  # may have been accepted, so it is never sent again
    SKIPPED = "skipped"

    @property
    def attempt(self) -> AttemptState | None:
        """The ledger's state for a step that ended; None while it has not ended."""
        return AttemptState(self.value) if self in FINISHED else None


_AFTER = {
    AttemptState.DELIVERED: StepState.SENT,
    AttemptState.BOUNCED: StepState.REFUSED,
    AttemptState.COMPLAINED: StepState.SENT,
}


def state_after(attempt: AttemptState) -> StepState:
    """Return the state of a step whose last attempt has this state."""
    return _AFTER.get(attempt) or StepState(attempt.value)


NO_PROVIDER = "none"  # the provider of attempts that were made over no account
REACHED = frozenset({StepState.SENT, StepState.UNKNOWN})
FINISHED = REACHED | {StepState.REFUSED, StepState.FAILED, StepState.SKIPPED}
MAY_REACH = REACHED | {StepState.IN_FLIGHT}
REACHED_ATTEMPTS = [attempt for attempt in AttemptState if state_after(attempt) in REACHED]


class SkipReason(StrEnum):
    NO_ADDRESS = "no_address"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    NO_ACCOUNT = "no_account"  # no account is configured that could send it


class MoveReason(StrEnum):
    """Why a step is postponed. A step that would be postponed past its invitation's end is skipped for this reason."""

    CONTACT_HOURS = "contact_hours"
    CONTACT_CAP = "contact_cap"
    DAILY_CEILING = "daily_ceiling"
    COUNTRY_CEILING = "country_ceiling"


class SendResult(StrEnum):
    """The result of sending one message."""

    SENT = "sent"
    REFUSED = "refused"  # permanently: because of the address or the text
    NOT_ACCEPTED = "not_accepted"  # certainly not accepted; may be tried again
    UNAVAILABLE = "unavailable"  # certainly not accepted: the provider cannot be reached, or refuses our account
    UNKNOWN = "unknown"  # may have been accepted
    NOT_STARTED = "not_started"  # not tried, since no time was left
    THROTTLED = "throttled"  # certainly not accepted: a rate limit, ours or the provider's, was reached


class OutgoingMessage(msgspec.Struct, frozen=True, gc=False):
    """A rendered message; `body` is a mail with its headers, or the text of a text message.

    `sender` is that of a text message; empty for the sender of the gateway's account. `dotted` is whether a line of a
    mail may begin with a dot.
    """

    invitation_id: UUID
    step: int
    channel: ChannelKind
    recipient: str
    subject: str
    body: bytes
    sender: str = ""
    dotted: bool = True


@dataclass(frozen=True, slots=True)
class Bill:
    """The segments and the price of a text message, as far as the provider returns them."""

    segments: int | None = None
    cost: Decimal | None = None
    currency: str | None = None


ACCOUNT_REFUSED = "account_refused"  # begins the reason of a step that waits because a provider refuses our account
_REPLY_CODE = re.compile(r"_\d")  # as in smtp_454 or twilio_20003; smtp_timeout is no reply


class Disposition(msgspec.Struct, frozen=True, gc=False):
    """The result of sending one message, with its details."""

    result: SendResult
    reason: str | None = None  # a code; the provider's free text may quote an address and is never kept
    message_id: str | None = None
    wait_s: float = 0.0  # how long a throttled message should wait, or an unavailable account rest
    bill: Bill | None = None
    account: str | None = None  # the account that was used, when one account object stands for several
    unclear: bool = False  # a refusal that may be about our account: it is, if several recipients in a row get it

    @property
    def refuses_account(self) -> bool:
        """Whether the provider answered that it refuses our account, whoever the recipient is."""
        return self.result is SendResult.UNAVAILABLE and bool(_REPLY_CODE.search(self.reason or ""))


class ChainStep(msgspec.Struct, frozen=True):
    """A step of a plan as it stands now; `due_at` is known until it ends."""

    number: int
    channel: ChannelKind
    state: StepState
    due_at: datetime | None
    delay: timedelta
    call_open: bool = False
    tries: int = 0
    reason: str | None = None
    account: str | None = None


class PlannedStep(msgspec.Struct, frozen=True, gc=False):
    number: int
    channel: ChannelKind
    due_at: datetime


class LeasedStep(msgspec.Struct, frozen=True, gc=False):
    """A step that one sender has leased; only the holder of the token may change it."""

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


class StepResult(msgspec.Struct, frozen=True, gc=False):
    """How a leased step ended; with state `planned`, when it is tried again."""

    leased: LeasedStep
    state: StepState
    tries: int
    account: str | None
    reason: str | None = None
    due_at: datetime | None = None
    call_task: UUID | None = None


class FinishedStep(msgspec.Struct, frozen=True, gc=False):
    """The result of a leased step with what is stored beside it: a message for the mailbox, a call for the desk."""

    result: StepResult
    message_id: str | None = None
    bill: Bill | None = None
    for_mailbox: OutgoingMessage | None = None
    call: CallRequested | None = None


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """A row of the ledger: the attempt as published, the number of the try, and what is not published."""

    event: ContactAttempted
    number: int
    message_id: str | None = None
    bill: Bill | None = None
