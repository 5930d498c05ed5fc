"""What providers say of a message after they took it, and what follows from it: rules only, no I/O.

A receipt may come twice, out of order, or before our own record of the send. So what it does to the ledger depends
only on where the attempt stands: a state moves forward along `ORDER`, never back.
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
    ACCEPTED = "accepted"  # the provider has it after all
    DELIVERED = "delivered"
    HARD_BOUNCE = "hard_bounce"  # this address does not exist
    SOFT_BOUNCE = "soft_bounce"  # it does, and did not take this message: full, away, too slow
    BLOCKED = "blocked"  # the provider takes nothing for this address
    UNDELIVERED = "undelivered"  # says nothing about the address: the text, our account, the operator
    NOT_ACCEPTED = "not_accepted"  # the provider was asked and has never seen it
    COMPLAINT = "complaint"
    STOP = "stop"  # the respondent wants nothing more over this channel
    START = "start"  # and wants it again


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
    """Which of our messages is meant: the step it was sent for."""

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
    """`key` names it for ever, so that a repetition is known. One of the last three says which message is meant."""

    provider: str
    key: str
    kind: ReceiptKind
    channel: ChannelKind
    reason: str | None = None  # a code, never the provider's free text
    reference: Reference | None = None
    message_id: str | None = None  # the provider's own
    phone: bytes | None = None  # a fingerprint, where a respondent wrote to us


def state_of(kind: ReceiptKind) -> AttemptState | None:
    """The ledger's word for a receipt; None when it is about the respondent, not about a message."""
    return _STATES.get(kind)


def furthest(receipts: Iterable[Receipt]) -> Receipt | None:
    """The one receipt of several for a message that decides."""
    telling = [(ORDER.index(state), receipt) for receipt in receipts if (state := state_of(receipt.kind))]
    return max(telling, key=lambda each: each[0])[1] if telling else None


def reason_of(receipt: Receipt) -> str | None:
    """What the ledger says beside the state: the kind of a bounce first, since soft ones are counted by it."""
    if state_of(receipt.kind) in (AttemptState.BOUNCED, AttemptState.COMPLAINED):
        return f"{receipt.kind} {receipt.reason}" if receipt.reason else receipt.kind.value
    return receipt.reason


# --- the step and the chain

STEP_STATES = {
    AttemptState.FAILED: StepState.FAILED,
    AttemptState.SENT: StepState.SENT,
    AttemptState.DELIVERED: StepState.SENT,
    AttemptState.BOUNCED: StepState.REFUSED,
    AttemptState.COMPLAINED: StepState.SENT,
}
_REACHES_NOBODY = frozenset({ReceiptKind.HARD_BOUNCE, ReceiptKind.BLOCKED, ReceiptKind.NOT_ACCEPTED})


def brought_forward(steps: Iterable[ChainStep], kind: ReceiptKind, number: int, *, now: datetime) -> PlannedStep | None:
    """The step that is due at once because the one before it turns out to have reached nobody."""
    following = [step for step in steps if step.number > number]
    if kind not in _REACHES_NOBODY or any(step.state not in _WAITING for step in following):
        return None
    planned = next((step for step in following if step.state is StepState.PLANNED), None)
    if planned is None or planned.due_at is None or planned.due_at <= now:
        return None
    return PlannedStep(planned.number, now)


_WAITING = (StepState.WAITING, StepState.PLANNED)

# --- whom it suppresses, and for how long

SOFT_BOUNCES = 3
SOFT_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """A suppression to be: `lasts` None is for ever; `of_address` ends with the address, not with the person."""

    reason: SuppressionReason
    lasts: timedelta | None
    of_address: bool


_SILENCES = {
    ReceiptKind.HARD_BOUNCE: SuppressionRule(SuppressionReason.HARD_BOUNCE, timedelta(days=365), of_address=True),
    ReceiptKind.BLOCKED: SuppressionRule(SuppressionReason.BLOCKED, timedelta(days=180), of_address=True),
    ReceiptKind.SOFT_BOUNCE: SuppressionRule(SuppressionReason.SOFT_BOUNCE, timedelta(days=14), of_address=True),
    ReceiptKind.COMPLAINT: SuppressionRule(SuppressionReason.COMPLAINT, None, of_address=False),
    ReceiptKind.STOP: SuppressionRule(SuppressionReason.STOP, None, of_address=False),
}


def suppression_for(kind: ReceiptKind, *, soft_bounces: int) -> SuppressionRule | None:
    """Whom a receipt silences. A soft bounce does when it is the third in thirty days, and for two weeks only."""
    if kind is ReceiptKind.SOFT_BOUNCE and soft_bounces < SOFT_BOUNCES:
        return None
    return _SILENCES.get(kind)


# --- refusals at the door that say something about the address

_REFUSALS = {
    "twilio_21610": ReceiptKind.STOP,  # the recipient replied STOP to this sender
    "twilio_21211": ReceiptKind.HARD_BOUNCE,  # no valid number
    "twilio_21614": ReceiptKind.HARD_BOUNCE,  # no mobile number
    "smsc_7": ReceiptKind.HARD_BOUNCE,  # the number's format
    "smsc_8": ReceiptKind.BLOCKED,  # cannot be delivered to this number
}
# no such mailbox, no such domain, no valid address, it moved, no mail wanted there, it was closed; RFC 3463 and 7505
NO_SUCH_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")


def kind_of_refusal(reason: str | None) -> ReceiptKind | None:
    """What a provider's no to a message teaches about the address; most teach nothing."""
    provider, _, code = (reason or "").partition("_")
    if provider == "smtp" and code.rpartition("_")[2] in NO_SUCH_ADDRESS:
        return ReceiptKind.HARD_BOUNCE
    return _REFUSALS.get(reason or "")


# --- words a text message may consist of

_STOP = {
    *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
    *("стоп", "отписка", "отписаться", "отмена", "отказ", "хватит"),
    *("arret", "arrêt", "stopp", "parar", "baja", "alto", "durdur", "тоқта", "зупинити"),
}
_START = {"start", "unstop", "yes", "старт", "подписаться"}


def keyword_in(text: str) -> ReceiptKind | None:
    """Read a reply: STOP in several languages, whatever the case and the punctuation around it; or START."""
    word = re.sub(r"[\W_]+", "", text.strip().lower())
    if word in _STOP:
        return ReceiptKind.STOP
    return ReceiptKind.START if word in _START else None


@dataclass(frozen=True, slots=True)
class MatchedReceipt:
    """A receipt with the attempt, or only the respondent, it is about."""

    id: UUID
    receipt: Receipt
    respondent_id: str
    attempt_id: UUID | None = None
    invitation_id: UUID | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class AttemptAdvance:
    attempt_id: UUID
    state: AttemptState
    reason: str | None
