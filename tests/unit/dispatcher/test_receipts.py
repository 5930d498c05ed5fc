"""The effects of receipts on attempts, chains and suppressions, as tables of cases."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.dispatcher.domain import receipts
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.steps import ChainStep, PlannedStep, StepState
from shared.contract.vocabulary import AttemptState, ChannelKind

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
INVITATION = UUID("0198d3a0-0000-7000-8000-00000000beef")


def receipt(kind: ReceiptKind, reason: str | None = None) -> Receipt:
    return Receipt("p", f"k{kind}", kind, ChannelKind.EMAIL, reason)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (f"<{INVITATION}.2@shop.example.com>", Reference(INVITATION, 2)),
        (f"{INVITATION}.2", Reference(INVITATION, 2)),
        (f"{INVITATION}.2000", None),
        (f"{INVITATION}", None),
        ("<abc@shop.example.com>", None),
        ("", None),
    ],
)
def test_our_reference_is_found_in_texts_of_providers(text: str, reference: Reference | None) -> None:
    assert receipts.reference_in(text) == reference


def test_of_several_receipts_the_one_furthest_along_decides() -> None:
    told = [receipt(ReceiptKind.DELIVERED), receipt(ReceiptKind.COMPLAINT), receipt(ReceiptKind.ACCEPTED)]
    assert receipts.furthest(told) == receipts.furthest(reversed(told)) == told[1]


def test_receipt_about_a_respondent_does_not_decide_about_a_message() -> None:
    assert receipts.furthest([receipt(ReceiptKind.STOP)]) is None


@pytest.mark.parametrize(
    ("kind", "reason", "said"),
    [
        (ReceiptKind.SOFT_BOUNCE, "dsn_4.2.2", "soft_bounce dsn_4.2.2"),
        (ReceiptKind.BLOCKED, None, "blocked"),
        (ReceiptKind.DELIVERED, "ses_delivery", "ses_delivery"),
    ],
)
def test_ledger_names_the_kind_of_a_bounce_first(kind: ReceiptKind, reason: str | None, said: str) -> None:
    assert receipts.reason_of(receipt(kind, reason)) == said


@pytest.mark.parametrize("state", sorted(set(AttemptState) & set(receipts.ORDER)))
def test_every_state_of_a_receipt_is_in_the_order(state: AttemptState) -> None:
    brought = {receipts.state_of(kind) for kind in ReceiptKind} - {None}
    assert state in brought or state is AttemptState.UNKNOWN


def chain(*states: StepState) -> list[ChainStep]:
    later = NOW + timedelta(days=3)
    return [ChainStep(n, ChannelKind.EMAIL, state, later, timedelta(days=3)) for n, state in enumerate(states, 1)]


def test_next_step_is_due_at_once_when_the_address_does_not_exist() -> None:
    steps = chain(StepState.REFUSED, StepState.PLANNED, StepState.WAITING)
    brought = receipts.brought_forward(steps, ReceiptKind.HARD_BOUNCE, 1, now=NOW)
    assert brought == PlannedStep(2, ChannelKind.EMAIL, NOW)


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        (ReceiptKind.SOFT_BOUNCE, (StepState.REFUSED, StepState.PLANNED)),
        (ReceiptKind.DELIVERED, (StepState.SENT, StepState.PLANNED)),
        (ReceiptKind.HARD_BOUNCE, (StepState.REFUSED, StepState.SENT, StepState.PLANNED)),
        (ReceiptKind.HARD_BOUNCE, (StepState.REFUSED, StepState.IN_FLIGHT)),
        (ReceiptKind.HARD_BOUNCE, (StepState.REFUSED,)),
    ],
)
def test_no_step_is_brought_forward_otherwise(kind: ReceiptKind, states: tuple[StepState, ...]) -> None:
    assert receipts.brought_forward(chain(*states), kind, 1, now=NOW) is None


def test_step_that_is_due_already_is_not_postponed() -> None:
    steps = chain(StepState.REFUSED, StepState.PLANNED)
    late = NOW + timedelta(days=4)
    assert receipts.brought_forward(steps, ReceiptKind.BLOCKED, 1, now=late) is None


@pytest.mark.parametrize("soft_bounces", [0, 1, 2])
def test_single_soft_bounce_suppresses_nobody(soft_bounces: int) -> None:
    assert receipts.suppression_for(ReceiptKind.SOFT_BOUNCE, soft_bounces=soft_bounces) is None


def test_only_complaints_and_stop_are_for_ever() -> None:
    silences = {kind: receipts.suppression_for(kind, soft_bounces=99) for kind in ReceiptKind}
    for_ever = {kind for kind, silence in silences.items() if silence is not None and silence.lasts is None}
    assert for_ever == {ReceiptKind.COMPLAINT, ReceiptKind.STOP}
    of_address = {kind for kind, silence in silences.items() if silence is not None and silence.of_address}
    assert of_address == {ReceiptKind.HARD_BOUNCE, ReceiptKind.SOFT_BOUNCE, ReceiptKind.BLOCKED}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("twilio_21610", ReceiptKind.STOP),
        ("smsc_8", ReceiptKind.BLOCKED),
        ("smtp_550_5.1.1", ReceiptKind.HARD_BOUNCE),
        ("smtp_550", None),
        (None, None),
    ],
)
def test_some_refusals_say_something_about_the_address(reason: str | None, kind: ReceiptKind | None) -> None:
    assert receipts.kind_of_refusal(reason) is kind


def test_bounce_outranks_a_delivery_and_a_complaint_a_bounce() -> None:
    ends = [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED, ReceiptKind.HARD_BOUNCE, ReceiptKind.COMPLAINT]
    for weaker, stronger in itertools.pairwise(ends):
        told = [receipt(weaker), receipt(stronger)]
        assert receipts.furthest(told) == receipts.furthest(reversed(told)) == told[1]
