"""The rules of a chain, as tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.dispatcher.domain import chain, retries
from services.dispatcher.domain.chain import (
    LONGEST_DELAY,
    after_call,
    delay_of,
    late_answer_counts,
    merged_consent,
    outcome_at_expiry,
    skip_reason,
)
from services.dispatcher.domain.send_mode import SendMode, may_leave
from services.dispatcher.domain.steps import ChainStep, Disposition, PlannedStep, SendResult, SkipReason, StepState
from shared.contract.events import Consent, Contact
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


def step(number: int, state: StepState, *, days: int = 2, call_open: bool = False) -> ChainStep:
    return ChainStep(number, ChannelKind.EMAIL, state, EARLIER, timedelta(days=days), call_open)


@pytest.mark.parametrize("state", [StepState.SENT, StepState.UNKNOWN])
def test_next_step_waits_its_delay_after_a_contact(state: StepState) -> None:
    steps = [step(1, state), step(2, StepState.WAITING, days=3)]
    planned = PlannedStep(2, ChannelKind.EMAIL, NOW + timedelta(days=3))
    assert chain.follow(steps, 1, state, was_due=EARLIER, now=NOW) == planned


@pytest.mark.parametrize("state", [StepState.SKIPPED, StepState.REFUSED, StepState.FAILED])
def test_next_step_gets_the_due_time_of_one_that_reached_nobody(state: StepState) -> None:
    steps = [step(1, state), step(3, StepState.WAITING), step(2, StepState.WAITING)]
    planned = PlannedStep(2, ChannelKind.EMAIL, EARLIER)
    assert chain.follow(steps, 1, state, was_due=EARLIER, now=NOW) == planned


def test_chain_that_reached_nobody_ends_at_once() -> None:
    steps = [step(1, StepState.REFUSED), step(2, StepState.SKIPPED)]
    following = chain.follow(steps, 2, StepState.SKIPPED, was_due=EARLIER, now=NOW)
    assert following is InvitationOutcome.UNDELIVERABLE


@pytest.mark.parametrize("first", [StepState.SENT, StepState.UNKNOWN])
def test_chain_that_reached_somebody_waits_for_an_answer(first: StepState) -> None:
    steps = [step(1, first), step(2, StepState.WAITING)]
    assert chain.follow(steps, 2, StepState.SKIPPED, was_due=EARLIER, now=NOW) is None


@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        ([StepState.PLANNED, StepState.WAITING], InvitationOutcome.UNDELIVERABLE),
        ([StepState.REFUSED, StepState.PLANNED], InvitationOutcome.UNDELIVERABLE),
        ([StepState.SENT, StepState.PLANNED], InvitationOutcome.EXPIRED),
        ([StepState.SENT, StepState.SKIPPED], InvitationOutcome.EXHAUSTED),
        ([StepState.UNKNOWN, StepState.SENT], InvitationOutcome.EXHAUSTED),
        ([StepState.SENT, StepState.IN_FLIGHT], InvitationOutcome.EXHAUSTED),
    ],
)
def test_outcome_at_expiry(states: list[StepState], outcome: InvitationOutcome) -> None:
    assert outcome_at_expiry([step(n, state) for n, state in enumerate(states, 1)]) is outcome


@pytest.mark.parametrize(
    ("call", "last", "outcome"),
    [
        (CallOutcome.ANSWERED, StepState.SENT, InvitationOutcome.ANSWERED),
        (CallOutcome.REFUSED, StepState.WAITING, InvitationOutcome.DECLINED),
        (CallOutcome.DO_NOT_CALL, StepState.SENT, InvitationOutcome.DECLINED),
        (CallOutcome.UNREACHABLE, StepState.SENT, InvitationOutcome.EXHAUSTED),
        (CallOutcome.UNREACHABLE, StepState.PLANNED, None),
        (CallOutcome.WRONG_NUMBER, StepState.SENT, InvitationOutcome.EXHAUSTED),
        (CallOutcome.EXPIRED, StepState.SENT, None),
        (CallOutcome.WITHDRAWN, StepState.SENT, None),
    ],
)
def test_closed_call_ends_its_invitation(call: CallOutcome, last: StepState, outcome: InvitationOutcome | None) -> None:
    assert after_call(call, [step(1, StepState.SENT), step(2, last)]) is outcome


def test_late_answer_changes_only_outcomes_of_no_answer() -> None:
    changed = {outcome for outcome in InvitationOutcome if late_answer_counts(outcome)}
    assert changed == {InvitationOutcome.EXHAUSTED, InvitationOutcome.EXPIRED, InvitationOutcome.UNDELIVERABLE}


@pytest.mark.parametrize(
    ("channel", "contact", "consent", "suppressed", "reason"),
    [
        (ChannelKind.EMAIL, Contact(email="a@b.c"), Consent(email=True), False, None),
        (ChannelKind.CALL, Contact(phone="+1"), Consent(call=True), False, None),
        (ChannelKind.SMS, Contact(email="a@b.c"), Consent(sms=True), False, SkipReason.NO_ADDRESS),
        (ChannelKind.SMS, Contact(phone="+1"), Consent(sms=False), False, SkipReason.NO_CONSENT),
        (ChannelKind.SMS, Contact(phone="+1"), Consent(), False, SkipReason.NO_CONSENT),
        (ChannelKind.EMAIL, Contact(email="a@b.c"), Consent(email=True), True, SkipReason.SUPPRESSED),
    ],
)
def test_skip_reason(
    channel: ChannelKind, contact: Contact, consent: Consent, suppressed: object, reason: SkipReason | None
) -> None:
    assert skip_reason(channel, contact, consent, suppressed=bool(suppressed)) is reason


def test_unknown_consent_keeps_the_known_value() -> None:
    changed = merged_consent(Consent(email=True, sms=True), Consent(sms=False, call=True))
    assert changed == Consent(email=True, sms=False, call=True)


@pytest.mark.parametrize(
    ("result", "tries", "state"),
    [
        (SendResult.SENT, 1, StepState.SENT),
        (SendResult.REFUSED, 1, StepState.REFUSED),
        (SendResult.UNKNOWN, 1, StepState.UNKNOWN),
        (SendResult.NOT_STARTED, 9, StepState.PLANNED),
        (SendResult.UNAVAILABLE, 9, StepState.PLANNED),
        (SendResult.NOT_ACCEPTED, 2, StepState.PLANNED),
        (SendResult.NOT_ACCEPTED, 3, StepState.FAILED),
    ],
)
def test_state_of_a_step_after_a_result(result: SendResult, tries: int, state: StepState) -> None:
    assert retries.after_result(result, tries=tries, max_attempts=3) is state


def test_backoff_doubles() -> None:
    again = [retries.again_at(Disposition(SendResult.NOT_ACCEPTED), tries=tries, now=NOW) for tries in (1, 2, 3)]
    assert again == [NOW + timedelta(minutes=minutes) for minutes in (5, 10, 20)]


def test_unavailable_provider_costs_no_try() -> None:
    spent = {result for result in SendResult if retries.is_try(result)}
    assert spent == {SendResult.SENT, SendResult.REFUSED, SendResult.NOT_ACCEPTED, SendResult.UNKNOWN}
    assert retries.again_at(Disposition(SendResult.UNAVAILABLE), tries=0, now=NOW) == NOW + timedelta(minutes=1)
    assert retries.again_at(Disposition(SendResult.NOT_STARTED), tries=0, now=NOW) is None
    throttled = Disposition(SendResult.THROTTLED, wait_s=2.5)
    assert retries.again_at(throttled, tries=0, now=NOW) == NOW + timedelta(seconds=2.5)


def test_message_that_a_provider_may_have_taken_counts_towards_the_ceiling() -> None:
    using = {result for result in SendResult if retries.counts_towards_ceiling(result)}
    assert using == {SendResult.SENT, SendResult.REFUSED, SendResult.UNKNOWN}


def test_endless_delay_stays_within_the_calendar() -> None:
    assert delay_of(10**18) == LONGEST_DELAY


# --- where it goes


@pytest.mark.parametrize(
    ("mode", "address", "leaves"),
    [
        (SendMode.MAILBOX, "a@ours.test", False),
        (SendMode.ALLOWLIST, "a@OURS.test", True),
        (SendMode.ALLOWLIST, "a@theirs.test", False),
        (SendMode.ALLOWLIST, "a@notours.test", False),
        (SendMode.ALLOWLIST, "a@mail.ours.test", False),
        (SendMode.ALLOWLIST, "a@ours.test.", False),
        (SendMode.ALLOWLIST, "ours.test@theirs.test", False),
        (SendMode.ALLOWLIST, "a@+15550001", False),
        (SendMode.ALLOWLIST, "ours.test", False),
        (SendMode.ALLOWLIST, "+155500011", False),
        (SendMode.ALLOWLIST, "", False),
        (SendMode.ALLOWLIST, "+15550001", True),
        (SendMode.ALLOWLIST, "+15550002", False),
        (SendMode.LIVE, "a@theirs.test", True),
    ],
)
def test_addresses_to_which_messages_may_be_sent(mode: SendMode, address: str, leaves: object) -> None:
    assert may_leave(mode, address, allowed=["ours.test", "+15550001"]) is leaves
