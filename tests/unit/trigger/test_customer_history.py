"""The history of respondents and touchpoints, and how conditions, segments and requests use it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.trigger.domain.deciding.cadence import CadenceDay
from services.trigger.domain.deciding.cases import DecisionFacts
from services.trigger.domain.deciding.decide import decide
from services.trigger.domain.deciding.requests import survey_request
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.event_fields import EventFields
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.domain.programs.segments import Segment
from services.trigger.domain.respondents import ContactCause, Respondent, merge_customer
from services.trigger.domain.touchpoints import CadenceDue, details_of
from shared.contract.events import (
    Consent,
    Customer,
    CustomerUpdated,
    Item,
    Order,
    ProgramRef,
    PurchaseCompleted,
    ServiceCompleted,
    ServiceJob,
    SurveyAnswered,
    Touchpoint,
)
from shared.contract.vocabulary import AnswerMode, category_of
from tests.unit.trigger.test_decide import NOW, sent

DAY = timedelta(days=1)
ANN = Respondent("c1", email="ann@shop.example")
ANSWER = SurveyAnswered(
    respondent_id="c1",
    invitation_id=UUID(int=1),
    customer_id="C1",
    answer_id=UUID(int=2),
    version=1,
    program=ProgramRef(id="shop", version=1),
    score=3,
    category=category_of(3),
    reasons=["staff"],
    comment="slow",
    mode=AnswerMode.SELF,
    step=1,
    answered_at=NOW,
)


def test_older_contacts_and_answers_change_nothing() -> None:
    asked = ANN.with_contact(ContactCause.INVITATION, "shop", NOW)
    assert asked.with_contact(ContactCause.INVITATION, "shop", NOW - DAY) is asked
    assert asked.with_contact(ContactCause.INVITATION, "other", NOW - DAY).last_asked_at == NOW
    answered = ANN.with_answer("promoter", 9, NOW)
    assert answered.with_answer("detractor", 1, NOW - DAY) is answered
    assert answered.with_answer("detractor", 1, NOW).last_score == 1


def test_first_and_last_purchase_are_by_their_own_times() -> None:
    bought = ANN.with_purchase(NOW).with_purchase(NOW - DAY).with_purchase(NOW + DAY)
    assert (bought.purchases, bought.first_purchase_at, bought.last_purchase_at) == (3, NOW - DAY, NOW + DAY)


@pytest.mark.parametrize(
    ("known", "said", "consent"),
    [
        (Consent(), Consent(), Consent()),
        (Consent(email=True), Consent(), Consent(email=True)),
        (Consent(), Consent(sms=True), Consent(sms=True)),
        (Consent(email=True, sms=False), Consent(sms=True), Consent(email=True, sms=True)),
    ],
)
def test_consent_that_is_not_mentioned_stays(known: Consent, said: Consent, consent: Consent) -> None:
    learned, _ = merge_customer(
        Respondent("c1", consent=known), Customer(id="c1", consent=said), at=NOW, phone_region=""
    )
    assert learned.consent == consent


def test_fields_of_an_answer_and_of_history() -> None:
    known = ANN.with_purchase(NOW - 5 * DAY).with_purchase(NOW - 2 * DAY).with_answer("passive", 7, NOW - DAY)
    fields = EventFields(ANSWER, "earshot/scoring", known, NOW)
    expected: dict[str, Any] = {
        "answer.program": "shop",
        "answer.score": 3,
        "answer.category": "detractor",
        "answer.reasons": ("staff",),
        "answer.mode": "self",
        "answer.commented": True,
        "history.days_since_first_purchase": 5,
        "history.days_since_purchase": 2,
        "history.days_since_answered": 1,
        "history.last_category": "passive",
        "history.last_score": 7,
    }
    assert {name: fields[name] for name in expected} == expected


def program(**written: Any) -> CompiledProgram:
    return compile_program(1, ProgramDocument.model_validate({"id": "more", "brand": {"name": "Shop"}, **written}))


@pytest.mark.parametrize(
    ("asking", "payload", "known_as", "customer_id"),
    [
        (program(starts_on=["survey.answered"]), ANSWER, None, "C1"),
        (program(cadence="7d"), CadenceDue(respondent_id="c1", program_id="more", period=3), " C1", " C1"),
        (program(cadence="7d"), CadenceDue(respondent_id="c1", program_id="more", period=3), None, "c1"),
    ],
)
def test_survey_about_no_order_names_its_customer_and_no_subject(
    asking: CompiledProgram, payload: Any, known_as: str | None, customer_id: str
) -> None:
    respondent = Respondent("c1", email="ann@shop.example", customer_id=known_as)
    decision = decide(sent(payload), [asking], DecisionFacts(respondent, None), now=NOW)
    assert decision.case is not None
    assert decision.send_at is not None
    request = survey_request(decision.case, invitation_id=UUID(int=3), send_at=decision.send_at, link_key="k")
    assert (request.customer_id, request.event.subject) == (customer_id.strip(), None)


def test_delaying_cap_that_has_ended_delays_nothing() -> None:
    caps = [{"name": "a", "days": 1, "then": "delay"}, {"name": "b", "days": 1}]
    asking = program(starts_on=["survey.answered"], caps=caps)
    decision = decide(
        sent(ANSWER), [asking], DecisionFacts(ANN.with_contact(ContactCause.INVITATION, "x", NOW - DAY), None), now=NOW
    )
    assert (decision.reason.value, decision.send_at) == ("asked", NOW)


def test_details_of_an_order_hold_nothing_of_the_customer() -> None:
    order = Order(id="1", amount=Decimal("9.90"), items=[Item(id="x", name="A gift for Olga")])
    said = details_of(PurchaseCompleted(customer=Customer(id="c1", name="Ann"), order=order, attributes={"gift": True}))
    assert said == {"order": {"id": "1", "amount": "9.90"}, "attributes": {"gift": True}}
    assert details_of(CustomerUpdated(customer=Customer(id="c1"))) is None


def test_details_of_a_service_leave_out_what_is_not_said() -> None:
    place = Touchpoint(store="Riga")
    said = details_of(ServiceCompleted(customer=Customer(id="c1"), service=ServiceJob(id="7"), touchpoint=place))
    assert said == {"service": {"id": "7"}, "touchpoint": {"store": "Riga"}}


def test_range_between_fractions_names_its_upper_bound() -> None:
    segment = Segment(name="weight", field="attributes.weight", ranges=[0.5, 1.5])
    assert [segment.value({"attributes.weight": found}) for found in (0.4, 0.5, 2)] == [
        "<0.5",
        "0.5\N{EN DASH}<1.5",
        "1.5+",
    ]
    assert Segment.model_validate("order.currency").value({"order.currency": "EUR"}) == "EUR"
    assert Segment.model_validate("answer.reasons").value({"answer.reasons": ("staff",)}) is None


def test_cadence_day_begins_at_midnight_in_the_zone_of_the_program() -> None:
    turn = CadenceDay.of(date(2026, 3, 1), cadence=timedelta(days=7))
    assert turn.begins_at("Europe/Moscow").isoformat() == "2026-02-28T21:00:00+00:00"


def test_json_that_is_no_yaml_is_explained_without_a_line() -> None:
    with pytest.raises(InvalidProgram) as caught:
        read_program(b'{\t"id": "Shop", "brand": {"name": "x"}, "cadence": "7d"}')
    assert [(mistake.where, mistake.line) for mistake in caught.value.mistakes] == [("id", None)]
