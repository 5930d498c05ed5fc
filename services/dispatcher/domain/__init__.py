"""What happens to an invitation, and when: rules only, no I/O. Times are business times, UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.events import Consent, Contact, PlanStep, SurveyRequested
from shared.vocabulary import AttemptState, CallOutcome, ChannelKind, InvitationOutcome


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


class Result(StrEnum):
    """What a channel says of one message."""

    SENT = "sent"
    REFUSED = "refused"  # for good: this address, this text
    NOT_ACCEPTED = "not_accepted"  # certainly not; may be tried again
    UNAVAILABLE = "unavailable"  # certainly not, and not for its own sake: the provider or the way to it is away
    UNKNOWN = "unknown"  # may have been accepted
    NOT_STARTED = "not_started"  # no time was left: it was never tried
    THROTTLED = "throttled"  # by a limit, ours or the provider's: certainly not accepted, and waits


class Outgoing(msgspec.Struct, frozen=True):
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
    result: Result
    reason: str | None = None  # a code, never the provider's free text: it may quote an address
    message_id: str | None = None
    wait_s: float = 0.0  # how long a throttled one should wait
    bill: Bill | None = None
    account: str | None = None  # which of several accounts it was, where one stands for them


class Step(msgspec.Struct, frozen=True):
    number: int
    channel: ChannelKind
    state: StepState
    due_at: datetime | None
    delay: timedelta
    call_open: bool = False


class Planned(msgspec.Struct, frozen=True):
    number: int
    due_at: datetime


# --- the chain

LONGEST_DELAY = timedelta(days=3650)


def delay_of(step: PlanStep) -> timedelta:
    return timedelta(seconds=min(step.delay_s, LONGEST_DELAY.total_seconds()))


def first_due(request: SurveyRequested) -> datetime:
    return request.send_at + delay_of(min(request.plan, key=lambda step: step.step))


def follow(steps: Sequence[Step], finished: int, *, now: datetime) -> Planned | InvitationOutcome | None:
    """Say what comes after a step that ended: the next one, the end, or nothing until an answer or the expiry.

    After a contact its successor waits its delay; after a step that reached nobody it takes that step's place in time.
    """
    done = next(step for step in steps if step.number == finished)
    following = [step for step in steps if step.number > finished and step.state is StepState.WAITING]
    if following:
        successor = min(following, key=lambda step: step.number)
        at_once = done.state not in REACHED
        return Planned(successor.number, (done.due_at or now) if at_once else now + successor.delay)
    return InvitationOutcome.UNDELIVERABLE if is_undeliverable(steps) else None


def is_undeliverable(steps: Iterable[Step]) -> bool:
    """Say whether every step ended and none can have reached anybody."""
    return all(step.state in FINISHED and step.state not in REACHED for step in steps)


def outcome_at_expiry(steps: Sequence[Step]) -> InvitationOutcome:
    if not any(step.state in MAY_REACH for step in steps):
        return InvitationOutcome.UNDELIVERABLE
    if all(step.state in FINISHED or step.state is StepState.IN_FLIGHT for step in steps):
        return InvitationOutcome.EXHAUSTED
    return InvitationOutcome.EXPIRED


_AFTER_CALL = {
    CallOutcome.ANSWERED: InvitationOutcome.ANSWERED,
    CallOutcome.REFUSED: InvitationOutcome.DECLINED,
    CallOutcome.DO_NOT_CALL: InvitationOutcome.DECLINED,
    CallOutcome.UNREACHABLE: InvitationOutcome.EXHAUSTED,
    CallOutcome.WRONG_NUMBER: InvitationOutcome.EXHAUSTED,
}


def after_call(outcome: CallOutcome, steps: Sequence[Step]) -> InvitationOutcome | None:
    """What a closed call makes of its invitation; a call that reached nobody leaves the steps behind it their turn.

    One that nobody made in time makes nothing of it: its invitation ends at the same moment, by `outcome_at_expiry`,
    and the outcome must not depend on which of the two is seen first.
    """
    closing = _AFTER_CALL.get(outcome)
    if closing in (InvitationOutcome.ANSWERED, InvitationOutcome.DECLINED):
        return closing
    return closing if all(step.state in FINISHED and not step.call_open for step in steps) else None


def late_answer_counts(outcome: InvitationOutcome) -> bool:
    """Say whether an answer after the end changes the outcome; what the respondent or the shop ended stays ended."""
    return outcome in (InvitationOutcome.EXHAUSTED, InvitationOutcome.EXPIRED, InvitationOutcome.UNDELIVERABLE)


# --- one step


def skip_reason(channel: ChannelKind, contact: Contact, consent: Consent, *, suppressed: bool) -> SkipReason | None:
    if suppressed:
        return SkipReason.SUPPRESSED
    if getattr(consent, channel.value) is not True:
        return SkipReason.NO_CONSENT
    return None if address_of(channel, contact) else SkipReason.NO_ADDRESS


def address_of(channel: ChannelKind, contact: Contact) -> str | None:
    return (contact.email if channel is ChannelKind.EMAIL else contact.phone) or None


def merged_consent(consent: Consent, change: Consent) -> Consent:
    """Yes and no replace what was known; unknown leaves it."""
    return consent.model_copy(update=change.model_dump(exclude_none=True))


_FIRST_BACKOFF = timedelta(minutes=5)
_AWAY = timedelta(minutes=1)


def after_result(result: Result, *, tries: int, max_attempts: int) -> StepState:
    """Turn a channel's word into the step's state; `tries` counts this one."""
    if not is_try(result):
        return StepState.PLANNED
    if result is Result.NOT_ACCEPTED:
        return StepState.PLANNED if tries < max_attempts else StepState.FAILED
    return StepState(result.value)


def is_try(result: Result) -> bool:
    """Say whether this was a try of the step; a provider that is away spends none."""
    return result not in (Result.NOT_STARTED, Result.UNAVAILABLE, Result.THROTTLED)


def uses_a_place(result: Result) -> bool:
    """Say whether this counts towards a day's ceiling: what a provider took in hand does, even to refuse it."""
    return result in (Result.SENT, Result.REFUSED, Result.UNKNOWN)


def again_at(disposition: Disposition, *, tries: int, now: datetime) -> datetime | None:
    """When a step that goes back is tried again; None leaves it due."""
    if disposition.result is Result.UNAVAILABLE:
        return now + _AWAY
    if disposition.result is Result.THROTTLED:
        return now + timedelta(seconds=disposition.wait_s)
    return now + backoff(tries) if disposition.result is Result.NOT_ACCEPTED else None


def backoff(tries: int) -> timedelta:
    """5, 10, 20 … minutes after the first, second, third try."""
    return _FIRST_BACKOFF * (1 << (tries - 1))


# --- where a message goes


class SendMode(StrEnum):
    MAILBOX = "mailbox"  # nothing leaves the machine
    ALLOWLIST = "allowlist"
    LIVE = "live"


def may_leave(mode: SendMode, address: str, *, allowed: Sequence[str]) -> bool:
    """Say whether a message to this address may leave the machine.

    `allowed` holds mail domains, each without those below it, and phone numbers, which begin with a plus.
    """
    if mode is not SendMode.ALLOWLIST:
        return mode is SendMode.LIVE
    _, is_mail, place = address.rpartition("@")
    return any(entry.lower() == place.lower() and entry.startswith("+") is not bool(is_mail) for entry in allowed)


# --- length of a text message, 3GPP TS 23.038

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_TWICE = frozenset("^{}[]~\\|€\f")


def sms_segments(text: str) -> int:
    if all(char in _GSM7 or char in _GSM7_TWICE for char in text):
        return _segments([2 if char in _GSM7_TWICE else 1 for char in text], alone=160, joined=153)
    return _segments([2 if char > "\uffff" else 1 for char in text], alone=70, joined=67)


def _segments(widths: Sequence[int], *, alone: int, joined: int) -> int:
    """Count the parts of a text; no character is parted between two."""
    if sum(widths) <= alone:
        return 1
    parts, length = 1, 0
    for width in widths:
        if length + width > joined:
            parts, length = parts + 1, 0
        length += width
    return parts


def fit_sms(prefix: str, link: str, *, segments: int = 2) -> str:
    """Join a text and its link; the text is cut, word by word, before the link ever is."""
    words = prefix.split()
    text = f"{' '.join(words)} {link}"
    while words and sms_segments(text) > segments:
        words.pop()
        text = f"{' '.join(words)}... {link}" if words else link
    return text
