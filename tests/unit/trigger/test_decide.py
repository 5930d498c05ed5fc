"""The decision: a pure function of event, programs, facts and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from services.trigger.domain.deciding.cases import Decision, DecisionFacts, DecisionReason
from services.trigger.domain.deciding.decide import decide, updated_touchpoint
from services.trigger.domain.deciding.requests import SurveyRequest, survey_request
from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.respondents import ContactCause, Respondent
from services.trigger.domain.touchpoints import (
    TouchpointKey,
    TouchpointKind,
    TouchpointRecord,
    TouchpointState,
    TriggerPayload,
    subject_of,
    touchpoint_key,
)
from shared.contract.cloudevents import Event, IgnoredField
from shared.contract.events import (
    Consent,
    Customer,
    CustomerErased,
    CustomerRef,
    Order,
    OrderRef,
    PurchaseCancelled,
    PurchaseCompleted,
    ServiceCompleted,
    ServiceJob,
    ServiceRef,
    ServiceReopened,
)
from shared.contract.vocabulary import ChannelKind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = TouchpointKey("c1", TouchpointKind.ORDER, "1")
INVITATION = UUID(int=7)
REACHABLE = Respondent("c1", email="ann@shop.example", phone="+79161234567")


def asked_at(moment: datetime, respondent: Respondent = REACHABLE) -> Respondent:
    return respondent.with_contact(ContactCause.INVITATION, "shop", moment)


def sent(payload: TriggerPayload, *, at: datetime = NOW, id_: str = "e1") -> Event[TriggerPayload]:
    return Event(id_, "shop", at, payload)


PURCHASE = sent(PurchaseCompleted(customer=Customer(id="c1"), order=Order(id="1")))
CANCELLATION = sent(PurchaseCancelled(customer=CustomerRef(id="c1"), order=OrderRef(id="1")))


def program(id_: str = "shop", **written: Any) -> CompiledProgram:
    document = {"id": id_, "brand": {"name": "Shop"}, "starts_on": ["crm.purchase.completed"], **written}
    return compile_program(1, ProgramDocument.model_validate(document))


def facts(respondent: Respondent = REACHABLE, **rest: Any) -> DecisionFacts:
    return DecisionFacts(respondent, **{"touchpoint": None, **rest})


def reason_of(
    event: Event[TriggerPayload] = PURCHASE,
    *,
    programs: Sequence[CompiledProgram] = (program(),),
    given: DecisionFacts | None = None,
) -> str:
    return decide(event, programs, given or facts(), now=NOW).reason.value


def requested(
    event: Event[TriggerPayload], asking: CompiledProgram, respondent: Respondent = REACHABLE, **rest: Any
) -> SurveyRequest:
    """Decide about the event and return the request of the program that asks."""
    decision = decide(event, [asking], facts(respondent, **rest), now=NOW)
    assert decision.case is not None
    assert decision.send_at is not None
    return survey_request(decision.case, invitation_id=INVITATION, send_at=decision.send_at, link_key="k1")


AMOUNT = {"field": "order.amount", "operator": "ge", "value": 10}
STOPPED = KnownSuppression(None, None, "opt_out", None)


@pytest.mark.parametrize(
    ("event", "given", "reason"),
    [
        (PURCHASE, facts(), "asked"),
        (structs.replace(PURCHASE, time=NOW - timedelta(days=7)), facts(), "asked"),
        (structs.replace(PURCHASE, time=NOW - timedelta(days=7, seconds=1)), facts(), "too_old"),
        (structs.replace(PURCHASE, time=NOW + timedelta(days=99)), facts(), "asked"),
        (PURCHASE, facts(touchpoint=TouchpointRecord(KEY, source="shop", event_id="e0")), "duplicate"),
        (PURCHASE, facts(touchpoint=TouchpointRecord(KEY, reversed_at=NOW)), "withdrawn"),
        (PURCHASE, facts(touchpoint=TouchpointRecord(KEY)), "asked"),
        (PURCHASE, facts(Respondent("c1")), "unreachable"),
        (PURCHASE, facts(Respondent("c1", phone="+79161234567")), "no_consent"),
        (PURCHASE, facts(structs.replace(REACHABLE, consent=Consent(email=False))), "no_consent"),
        (PURCHASE, facts(structs.replace(REACHABLE, consent=Consent(email=False, sms=True))), "asked"),
        (PURCHASE, facts(suppressions=[STOPPED]), "suppressed"),
        (PURCHASE, facts(suppressions=[replace(STOPPED, program="shop", channel=ChannelKind.EMAIL)]), "suppressed"),
        (PURCHASE, facts(suppressions=[replace(STOPPED, program="other")]), "asked"),
        (PURCHASE, facts(suppressions=[replace(STOPPED, channel=ChannelKind.SMS)]), "asked"),
        (PURCHASE, facts(suppressions=[replace(STOPPED, until=NOW)]), "asked"),
        (PURCHASE, facts(asked_at(NOW - timedelta(days=90))), "asked"),
        (PURCHASE, facts(asked_at(NOW - timedelta(days=89))), "quarantined"),
        (sent(CustomerErased(customer=CustomerRef(id="c1"))), facts(), "no_program"),
        (CANCELLATION, facts(), "nothing_to_withdraw"),
        (CANCELLATION, facts(touchpoint=TouchpointRecord(KEY, state=TouchpointState.ANSWERED)), "nothing_to_withdraw"),
        (CANCELLATION, facts(touchpoint=TouchpointRecord(KEY, state=TouchpointState.OPEN)), "withdrawn"),
    ],
)
def test_reason(event: Event[TriggerPayload], given: DecisionFacts, reason: str) -> None:
    assert reason_of(event, given=given) == reason


def test_rules_are_tried_in_order() -> None:
    everything = facts(
        asked_at(NOW, Respondent("c1")),
        touchpoint=TouchpointRecord(KEY, event_id="e0", reversed_at=NOW),
        suppressions=[STOPPED],
    )
    choosy = program(conditions=AMOUNT)
    assert (
        reason_of(structs.replace(PURCHASE, time=NOW - timedelta(days=8)), programs=[choosy], given=everything)
        == "too_old"
    )
    assert reason_of(programs=[choosy], given=everything) == "duplicate"
    resting = facts(asked_at(NOW))
    assert reason_of(programs=[choosy], given=resting) == "condition"


def test_no_program_starts_on_the_event() -> None:
    assert decide(PURCHASE, [program(starts_on=["crm.service.completed"])], facts(), now=NOW) == Decision(
        DecisionReason.NO_PROGRAM
    )


def test_first_program_that_asks_wins_and_the_trail_shows_those_before_it() -> None:
    programs = [program("choosy", conditions=AMOUNT), program("asks"), program("never-tried")]
    decision = decide(PURCHASE, programs, facts(), now=NOW)
    assert decision.program is programs[1]
    assert [(trial.program and trial.program.id, trial.reason.value) for trial in decision.trail] == [
        ("choosy", "condition"),
        ("asks", "asked"),
    ]


def test_headline_is_the_rule_that_got_furthest() -> None:
    programs = [
        program("a", max_age="0"),
        program("b", conditions=AMOUNT),
        program("c", plan=[{"channel": "sms"}]),
    ]
    event = structs.replace(PURCHASE, time=NOW - timedelta(hours=1))
    decision = decide(event, programs, facts(), now=NOW)
    assert (decision.reason, decision.program) == (DecisionReason.CONDITION, programs[1])
    assert [trial.reason.value for trial in decision.trail] == ["too_old", "condition", "no_consent"]


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        (AMOUNT, {"unmet": AMOUNT, "missing": ["order.amount"]}),
        ({"field": "event.source", "value": "x"}, {"found": "shop"}),
        ({"field": "customer.attributes.tier", "value": "x"}, {}),
        ({"not": {"field": "event.source", "value": "shop"}}, {}),
    ],
)
def test_unmet_condition_is_shown_without_what_is_known_of_the_customer(
    conditions: dict[str, Any], shown: dict[str, Any]
) -> None:
    respondent = structs.replace(REACHABLE, attributes={"tier": "gold"})
    (trial,) = decide(PURCHASE, [program(conditions=conditions)], facts(respondent), now=NOW).trail
    assert set(trial.facts) == {"unmet", *shown}
    assert {**trial.facts, **shown} == trial.facts


def test_met_condition_lets_the_event_pass() -> None:
    order = Order.model_validate({"id": "1", "amount": "10"})
    event = sent(PurchaseCompleted(customer=Customer(id="c1"), order=order))
    assert reason_of(event, programs=[program(conditions=AMOUNT)]) == "asked"


def test_invalid_fields_are_named_in_the_trail() -> None:
    (trial,) = decide(
        PURCHASE,
        [program()],
        facts(ignored=[IgnoredField("customer.phone", "not a valid number"), IgnoredField("order", "")]),
        now=NOW,
    ).trail
    assert trial.facts == {
        "channels": [ChannelKind.EMAIL],
        "send_at": NOW,
        "consent": {ChannelKind.EMAIL: "assumed (no ground is named)"},
        "unusable": ["phone"],
    }


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        (Consent(), {"email": "assumed (ground: customers of 2026)"}),
        (Consent(sms=True), {"email": "assumed (ground: customers of 2026)"}),
        (Consent(email=True), None),
        (Consent(email=False, sms=True), None),
    ],
)
def test_assumed_consent_is_shown_with_its_ground(known: Consent, shown: dict[str, str] | None) -> None:
    respondent = structs.replace(REACHABLE, consent=known)
    given = facts(respondent, consent_ground="customers of 2026")
    (trial,) = decide(PURCHASE, [program()], given, now=NOW).trail
    assert trial.facts.get("consent") == shown
    request = requested(PURCHASE, program(), respondent)
    assert request.assumed == ([ChannelKind.EMAIL] if shown else [])
    assert request.offers == []


def test_touchpoint_remembers_its_first_event_and_its_survey() -> None:
    asked = Decision(DecisionReason.ASKED, program=program())
    first = updated_touchpoint(TouchpointRecord(KEY), PURCHASE, asked, invitation_id=INVITATION)
    assert first == TouchpointRecord(
        KEY,
        source="shop",
        event_id="e1",
        invitation_id=INVITATION,
        program_id="shop",
        state=TouchpointState.OPEN,
        details={"order": {"id": "1"}},
    )
    assert (
        updated_touchpoint(
            first, structs.replace(PURCHASE, id="e2"), Decision(DecisionReason.DUPLICATE), invitation_id=None
        )
        == first
    )
    skipped = updated_touchpoint(
        TouchpointRecord(KEY), PURCHASE, Decision(DecisionReason.UNREACHABLE), invitation_id=None
    )
    assert (skipped.event_id, skipped.state) == ("e1", None)


def test_touchpoint_remembers_that_it_was_reversed() -> None:
    reversed_ = updated_touchpoint(
        TouchpointRecord(KEY), CANCELLATION, Decision(DecisionReason.NOTHING_TO_WITHDRAW), invitation_id=None
    )
    assert reversed_ == TouchpointRecord(KEY, reversed_at=NOW)
    open_ = TouchpointRecord(KEY, event_id="e0", invitation_id=INVITATION, state=TouchpointState.OPEN)
    withdrawn = updated_touchpoint(open_, CANCELLATION, Decision(DecisionReason.WITHDRAWN), invitation_id=INVITATION)
    assert withdrawn == structs.replace(open_, state=TouchpointState.WITHDRAWN, reversed_at=NOW)


def test_touchpoint_is_an_order_or_a_service() -> None:
    service = ServiceCompleted(customer=Customer(id=" C1"), service=ServiceJob(id="7"))
    assert touchpoint_key(service, "c1") == TouchpointKey("c1", TouchpointKind.SERVICE, "7")
    reopened = ServiceReopened(customer=CustomerRef(id="c1"), service=ServiceRef(id="7"))
    assert subject_of(reopened) == subject_of(service)
    assert touchpoint_key(PURCHASE.payload, "c1") == touchpoint_key(CANCELLATION.payload, "c1") == KEY
    assert touchpoint_key(CustomerErased(customer=CustomerRef(id="c1")), "c1") is None


@pytest.mark.parametrize(
    ("at", "delay", "send_at"),
    [
        (NOW - timedelta(hours=1), "0", NOW),
        (NOW - timedelta(hours=1), "3h", NOW + timedelta(hours=2)),
        (NOW - timedelta(hours=1), "30m", NOW),
        (NOW + timedelta(hours=20), "1h", NOW + timedelta(hours=1)),
    ],
)
def test_request_goes_out_a_delay_after_the_event_and_never_in_the_past(
    at: datetime, delay: str, send_at: datetime
) -> None:
    request = requested(structs.replace(PURCHASE, time=at), program(delay=delay, expires_after="10d"))
    assert (request.send_at, request.expires_at) == (send_at, send_at + timedelta(days=10))
    assert request.event.time == min(at, NOW)


def test_request_about_a_service_has_no_amount() -> None:
    service = ServiceCompleted(customer=Customer(id="c1"), service=ServiceJob(id="7"))
    request = requested(
        sent(service),
        program(starts_on=["crm.service.completed"], time_zone="Europe/Moscow", assume_consent=[]),
        structs.replace(REACHABLE, consent=Consent(sms=True)),
    )
    assert (request.event.subject, request.event.amount, request.time_zone) == ("7", None, "Europe/Moscow")
    assert request.consent == Consent(email=None, sms=True, call=None)
