"""The JSON of survey requests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trigger.domain.deciding.cases import Case, DecisionFacts
from services.trigger.domain.deciding.requests import (
    EventReference,
    SurveyRequest,
    event_ref,
    request_json,
    survey_request,
)
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.respondents import Respondent
from shared.contract.cloudevents import Event
from shared.contract.events import (
    CallPriority,
    Consent,
    Customer,
    EventRef,
    Order,
    PurchaseCompleted,
    ServiceCompleted,
    ServiceJob,
    SurveyRequested,
    Touchpoint,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ID = st.builds("x{}x".format, TEXT)
MAYBE = st.none() | TEXT
SAID = st.none() | st.booleans()
TIME = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
AMOUNT = st.none() | st.decimals(-(10**9), 10**9, places=2) | st.sampled_from([Decimal("1E+3"), Decimal("0.0000")])


def program(id_: str, **written: Any) -> CompiledProgram:
    document = {"id": id_, "brand": {"name": 'Shop "Ünï"'}, "starts_on": ["crm.purchase.completed"], **written}
    return compile_program(1, ProgramDocument.model_validate(document))


PROGRAMS = [
    program("plain"),
    program("no-calls", call_back=False),
    program("anonymous", anonymous=True),
    program("caps", contact_caps=[{"name": "monthly", "limit": 2, "days": 30}], expires_after="10d"),
    program(
        "own-words", title="\x7f</script>\u2028", texts={"en": {"question": "How?\n\t"}, "ru": {"question": "Как?"}}
    ),
    program(
        "urgent",
        calls={
            "priority": 5,
            "rules": [
                {
                    "name": "their last score was a detractor",
                    "conditions": {"field": "history.last_category", "value": "detractor"},
                    "priority": 90,
                },
                {"name": "VIP", "conditions": {"field": "customer.attributes.tier", "value": "gold"}, "priority": 50},
            ],
        },
    ),
    program("one-mail", plan=[{"channel": "email", "window": {"start": "10:00", "end": "11:30"}}], segments=["store"]),
]

RESPONDENTS = st.builds(
    Respondent,
    id=ID,
    name=MAYBE,
    email=MAYBE,
    phone=MAYBE,
    locale=st.sampled_from([None, "en", "ru", "de-AT"]),
    time_zone=st.sampled_from([None, "Europe/Moscow"]),
    consent=st.builds(Consent, email=SAID, sms=SAID, call=SAID),
)
PAYLOADS = st.builds(
    PurchaseCompleted,
    customer=st.builds(Customer, id=ID),
    order=st.builds(Order, id=ID, amount=AMOUNT, currency=st.sampled_from([None, "EUR"])),
    touchpoint=st.builds(Touchpoint, store=st.none() | ID, region=st.none() | ID),
) | st.builds(ServiceCompleted, customer=st.builds(Customer, id=ID), service=st.builds(ServiceJob, id=ID))


def test_request_has_the_number_that_people_know() -> None:
    for payload in (
        PurchaseCompleted(customer=Customer(id="c"), order=Order(id="584392", number="#1030")),
        ServiceCompleted(customer=Customer(id="c"), service=ServiceJob(id="584392", number="#1030")),
    ):
        event = Event("1", "shop", datetime(2026, 3, 1, tzinfo=UTC), payload)
        reference = event_ref(event, payload, at=event.time)
        assert (reference.subject, reference.number, reference.known_as) == ("584392", "#1030", "#1030")
    assert EventRef(source="s", id="1", type="t", time=datetime(2026, 3, 1, tzinfo=UTC), subject="7").known_as == "7"


EVENTS = st.builds(Event, id=ID, source=ID, time=TIME, payload=PAYLOADS)


@given(st.sampled_from(PROGRAMS), EVENTS, RESPONDENTS, TIME, ID)
def test_json_is_that_of_the_model(
    asking: CompiledProgram, event: Event[PurchaseCompleted], respondent: Respondent, now: datetime, key: str
) -> None:
    case = Case(event, asking, DecisionFacts(respondent, None), now)
    request = survey_request(case, invitation_id=uuid4(), send_at=now, link_key=key)
    assert request.call_back is asking.document.call_back
    assert request.anonymous is asking.document.anonymous
    written = request_json(request, asking)
    model = SurveyRequested.model_validate_json(written)
    assert written == model.model_dump_json().encode()
    assert (model.event.time, model.event.amount) == (case.started_at, request.event.amount)
    assert (model.key, model.customer_id, model.contact.phone) == (respondent.id, request.customer_id, respondent.phone)


@pytest.mark.parametrize(
    ("known", "value", "reason"),
    [
        ({}, 5, ""),
        ({"last_category": "passive"}, 5, ""),
        ({"last_category": "detractor"}, 90, "their last score was a detractor"),
        ({"attributes": {"tier": "gold"}}, 50, "VIP"),
        ({"attributes": {"tier": "gold"}, "last_category": "detractor"}, 90, "their last score was a detractor"),
    ],
)
def test_priority_of_a_call_is_that_of_the_first_rule_that_holds(
    known: dict[str, Any], value: int, reason: str
) -> None:
    (urgent,) = (each for each in PROGRAMS if each.id == "urgent")
    assert _asked(urgent, **known).call_priority == CallPriority(value=value, reason=reason)


def test_plan_without_calls_says_nothing_of_a_priority() -> None:
    rules = [{"name": "all", "conditions": {"field": "event.source", "operator": "exists"}, "priority": 9}]
    calls = {"priority": 5, "rules": rules}
    assert _asked(program("mail", plan=[{"channel": "email"}], calls=calls)).call_priority == CallPriority()


def _asked(asking: CompiledProgram, **known: Any) -> SurveyRequest:
    payload = PurchaseCompleted(customer=Customer(id="c"), order=Order(id="1"))
    event = Event("e1", "shop", datetime(2026, 3, 1, tzinfo=UTC), payload)
    case = Case(event, asking, DecisionFacts(Respondent("c", **known), None), event.time)
    return survey_request(case, invitation_id=uuid4(), send_at=event.time, link_key="k")


def test_request_has_the_fields_of_the_contract_in_their_order() -> None:
    assert list(SurveyRequest.__struct_fields__) == list(SurveyRequested.model_fields)
    assert list(EventReference.__struct_fields__) == list(EventRef.model_fields)


def test_cached_json_of_a_program_has_no_personal_data() -> None:
    asking = program("kept")
    event = Event(
        "e1",
        "shop",
        datetime(2026, 3, 1, tzinfo=UTC),
        PurchaseCompleted(customer=Customer(id="Ann-7"), order=Order(id="1")),
    )
    case = Case(
        event, asking, DecisionFacts(Respondent("ann-7", name="Ann", email="ann-7@shop.example"), None), event.time
    )
    request_json(survey_request(case, invitation_id=uuid4(), send_at=event.time, link_key="k"), asking)
    (shared,) = asking.shared_json.values()
    assert b"nn-7" not in b"".join(bytes(part) for part in shared.values() if part)
