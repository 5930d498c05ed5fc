"""The chain of steps: when each is due, what follows from an attempt, and which step may still be performed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.dispatcher.domain.steps import FINISHED, MAY_REACH, REACHED, ChainStep, PlannedStep, SkipReason, StepState
from shared.contract.events import Consent, Contact, PlanStep, SurveyRequested
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome

LONGEST_DELAY = timedelta(days=3650)


def delay_of(step: PlanStep) -> timedelta:
    return timedelta(seconds=min(step.delay_s, LONGEST_DELAY.total_seconds()))


def first_due(request: SurveyRequested) -> datetime:
    return request.send_at + delay_of(min(request.plan, key=lambda step: step.step))


def follow(steps: Sequence[ChainStep], finished: int, *, now: datetime) -> PlannedStep | InvitationOutcome | None:
    """Say what comes after a step that ended: the next one, the end, or nothing until an answer or the expiry.

    After a contact its successor waits its delay; after a step that reached nobody it takes that step's place in time.
    """
    done = next(step for step in steps if step.number == finished)
    following = [step for step in steps if step.number > finished and step.state is StepState.WAITING]
    if following:
        successor = min(following, key=lambda step: step.number)
        at_once = done.state not in REACHED
        return PlannedStep(successor.number, (done.due_at or now) if at_once else now + successor.delay)
    return InvitationOutcome.UNDELIVERABLE if is_undeliverable(steps) else None


def is_undeliverable(steps: Iterable[ChainStep]) -> bool:
    """Say whether every step ended and none can have reached anybody."""
    return all(step.state in FINISHED and step.state not in REACHED for step in steps)


def outcome_at_expiry(steps: Sequence[ChainStep]) -> InvitationOutcome:
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


def after_call(outcome: CallOutcome, steps: Sequence[ChainStep]) -> InvitationOutcome | None:
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
