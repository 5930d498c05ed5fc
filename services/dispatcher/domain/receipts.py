"""What providers report about a message after they accepted it, and what follows from that.

A receipt may come twice, out of order, or before our own record of the send. So its effect on the ledger depends only
on the state of the attempt, which moves forward along `ORDER`, never back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.dispatcher.domain.steps import ChainStep, PlannedStep, StepState
from shared.contract.vocabulary import AttemptState, ChannelKind, SuppressionReason


class ReceiptKind(StrEnum):
    ACCEPTED = "accepted"  # the provider has accepted it
    DELIVERED = "delivered"
    HARD_BOUNCE = "hard_bounce"  # the address does not exist
    SOFT_BOUNCE = "soft_bounce"  # the address exists: mailbox full, server down or too slow
    BLOCKED = "blocked"  # the provider accepts no message for this address
    UNDELIVERED = "undelivered"  # for a reason other than the address: the text, our account, the operator
    NOT_ACCEPTED = "not_accepted"  # the provider was asked and does not know the message
    COMPLAINT = "complaint"
    STOP = "stop"  # the respondent wants no more messages over this channel
    START = "start"  # the respondent wants them again


_STATES = {
    ReceiptKind.NOT_ACCEPTED: AttemptState.FAILED,
    ReceiptKind.ACCEPTED: AttemptState.SENT,
    ReceiptKind.DELIVERED: AttemptState.DELIVERED,
    ReceiptKind.HARD_BOUNCE: AttemptState.BOUNCED,
    ReceiptKind.SOFT_BOUNCE: AttemptState.BOUNCED,
    ReceiptKind.BLOCKED: AttemptState.BOUNCED,
    ReceiptKind.UNDELIVERED: AttemptState.BOUNCED,
    ReceiptKind.COMPLAINT: AttemptState.COMPLAINED,
}
ORDER = (
    AttemptState.UNKNOWN,
    AttemptState.FAILED,
    AttemptState.SENT,
    AttemptState.DELIVERED,
    AttemptState.BOUNCED,
    AttemptState.COMPLAINED,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Identifies a message of ours by the step it was sent for."""

    invitation_id: UUID
    step: int

    def __str__(self) -> str:
        return f"{self.invitation_id}.{self.step}"


_REFERENCE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,3})(?![0-9])")


def reference_in(text: str) -> Reference | None:
    """Find `<invitation id>.<step>` in a Message-ID, a metadata field or an address; the first one counts."""
    found = _REFERENCE.search(text)
    return Reference(UUID(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's report with a `key` unique per provider; `reference`, `message_id` or `phone` names its subject."""

    provider: str
    key: str
    kind: ReceiptKind
    channel: ChannelKind
    reason: str | None = None  # a code, never the provider's free text
    reference: Reference | None = None
    message_id: str | None = None  # the provider's id of the message
    phone: bytes | None = None  # a fingerprint of the number from which a respondent replied


def state_of(kind: ReceiptKind) -> AttemptState | None:
    """Return the state that a receipt gives its attempt; None when it is about the respondent, not a message."""
    return _STATES.get(kind)


def furthest(receipts: Iterable[Receipt]) -> Receipt | None:
    """Return the receipt with the last state along `ORDER`, of several for one message; None when none has a state."""
    ranked = [(ORDER.index(state), receipt) for receipt in receipts if (state := state_of(receipt.kind))]
    return max(ranked, key=lambda each: each[0])[1] if ranked else None


def reason_of(receipt: Receipt) -> str | None:
    """Return the reason to store with the state; it begins with the kind of a bounce, since soft ones are counted."""
    if state_of(receipt.kind) in (AttemptState.BOUNCED, AttemptState.COMPLAINED):
        return f"{receipt.kind} {receipt.reason}" if receipt.reason else receipt.kind.value
    return receipt.reason


# --- effect on the step and the chain

_REACHES_NOBODY = frozenset({ReceiptKind.HARD_BOUNCE, ReceiptKind.BLOCKED, ReceiptKind.NOT_ACCEPTED})


def brought_forward(steps: Iterable[ChainStep], kind: ReceiptKind, number: int, *, now: datetime) -> PlannedStep | None:
    """Return the next step, due now, when the receipt says that step `number` reached nobody; None without a change."""
    following = [step for step in steps if step.number > number]
    if kind not in _REACHES_NOBODY or any(step.state not in _WAITING for step in following):
        return None
    planned = next((step for step in following if step.state is StepState.PLANNED), None)
    if planned is None or planned.due_at is None or planned.due_at <= now:
        return None
    return PlannedStep(planned.number, planned.channel, now)


_WAITING = (StepState.WAITING, StepState.PLANNED)

# --- suppressions

SOFT_BOUNCES = 3
SOFT_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """A suppression to make. `lasts` None is for ever; with `of_address` it ends when the address changes."""

    reason: SuppressionReason
    lasts: timedelta | None
    of_address: bool


_SUPPRESSION_RULES = {
    ReceiptKind.HARD_BOUNCE: SuppressionRule(SuppressionReason.HARD_BOUNCE, timedelta(days=365), of_address=True),
    ReceiptKind.BLOCKED: SuppressionRule(SuppressionReason.BLOCKED, timedelta(days=180), of_address=True),
    ReceiptKind.SOFT_BOUNCE: SuppressionRule(SuppressionReason.SOFT_BOUNCE, timedelta(days=14), of_address=True),
    ReceiptKind.COMPLAINT: SuppressionRule(SuppressionReason.COMPLAINT, None, of_address=False),
    ReceiptKind.STOP: SuppressionRule(SuppressionReason.STOP, None, of_address=False),
}


REFUSING = frozenset({ReceiptKind.COMPLAINT, ReceiptKind.STOP})  # they also end the survey, over every channel


def suppression_for(kind: ReceiptKind, *, soft_bounces: int) -> SuppressionRule | None:
    """Return the suppression a receipt leads to, if any. Soft bounces lead to one from the third within 30 days on."""
    if kind is ReceiptKind.SOFT_BOUNCE and soft_bounces < SOFT_BOUNCES:
        return None
    return _SUPPRESSION_RULES.get(kind)


# --- refusals of the provider that say something about the address

_REFUSALS = {
    "twilio_21610": ReceiptKind.STOP,  # the recipient replied STOP to this sender
    "twilio_21211": ReceiptKind.HARD_BOUNCE,  # no valid number
    "twilio_21614": ReceiptKind.HARD_BOUNCE,  # no mobile number
    "smsc_7": ReceiptKind.HARD_BOUNCE,  # the number's format
    "smsc_8": ReceiptKind.BLOCKED,  # cannot be delivered to this number
}
# RFC 3463 and 7505: no such mailbox, no such domain, invalid address, moved, accepts no mail, disabled
NO_SUCH_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")


def kind_of_refusal(reason: str | None) -> ReceiptKind | None:
    """Return what a refused message says about the address, as a kind of receipt; most refusals say nothing."""
    provider, _, code = (reason or "").partition("_")
    if provider == "smtp" and code.rpartition("_")[2] in NO_SUCH_ADDRESS:
        return ReceiptKind.HARD_BOUNCE
    return _REFUSALS.get(reason or "")
