"""The chain of steps: when each is due, what follows a step that ended, and which steps must be skipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.dispatcher.domain.steps import FINISHED, MAY_REACH, REACHED, ChainStep, PlannedStep, SkipReason, StepState
from shared.contract.events import Consent, Contact, SurveyRequested
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome

LONGEST_DELAY = timedelta(days=3650)


def delay_of(delay_s: float) -> timedelta:
    return timedelta(seconds=min(delay_s, LONGEST_DELAY.total_seconds()))


def first_due(request: SurveyRequested) -> PlannedStep | None:
    """Return the first step that contacts the respondent, with its due time; None without such a step.

    Steps before it are links that the shop shows itself: their delays are added.
    """
    due_at = request.send_at
    for step in sorted(request.plan, key=lambda step: step.step):
        due_at += delay_of(step.delay_s)
        if step.channel.contacts:
            return PlannedStep(step.step, step.channel, due_at)
    return None


def follow(
    steps: Sequence[ChainStep], finished: int, state: StepState, *, was_due: datetime, now: datetime
) -> PlannedStep | InvitationOutcome | None:
    """Return what follows step `finished`, which ended in `state`: the next step, or the outcome of the invitation.

    The outcome is that no step can have reached anybody; None means waiting for an answer or the expiry. After a
    contact the next step waits its delay; after a step that reached nobody it gets that step's due time, `was_due`.
    """
    waiting = [step for step in steps if step.number > finished and step.state is StepState.WAITING]
    if waiting:
        successor = min(waiting, key=lambda step: step.number)
        due_at = now + successor.delay if state in REACHED else was_due
        return PlannedStep(successor.number, successor.channel, due_at)
    others = [step for step in steps if step.number != finished]
    return InvitationOutcome.UNDELIVERABLE if state not in REACHED and is_undeliverable(others) else None


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
    """Return the outcome that a closed call gives its invitation; None while later steps or calls may reach somebody.

    A call that expired gives none: its invitation expires at the same moment, by `outcome_at_expiry`, and the outcome
    must not depend on which of the two is handled first.
    """
    closing = _AFTER_CALL.get(outcome)
    if closing in (InvitationOutcome.ANSWERED, InvitationOutcome.DECLINED):
        return closing
    return closing if all(step.state in FINISHED and not step.call_open for step in steps) else None


def late_answer_counts(outcome: InvitationOutcome) -> bool:
    """Say whether a late answer replaces this outcome: not when the respondent declined or the shop withdrew."""
    return outcome in (InvitationOutcome.EXHAUSTED, InvitationOutcome.EXPIRED, InvitationOutcome.UNDELIVERABLE)


def skip_reason(channel: ChannelKind, contact: Contact, consent: Consent, *, suppressed: bool) -> SkipReason | None:
    if suppressed:
        return SkipReason.SUPPRESSED
    if channel.contacts and getattr(consent, channel.value) is not True:
        return SkipReason.NO_CONSENT
    return None if address_of(channel, contact) else SkipReason.NO_ADDRESS


def address_of(channel: ChannelKind, contact: Contact) -> str | None:
    return (contact.email if channel is ChannelKind.EMAIL else contact.phone) or None


def merged_consent(consent: Consent, change: Consent) -> Consent:
    """Apply a change of consent: yes and no replace the known value, unknown keeps it."""
    return consent.model_copy(update=change.model_dump(exclude_none=True))
