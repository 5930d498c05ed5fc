"""Conditions: compilation, comparison and validation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.trigger.domain.programs.conditions import Condition, compile_check, count, depth
from services.trigger.domain.programs.event_fields import EventFields, Fields
from services.trigger.domain.respondents import ContactCause, Respondent
from shared.contract.events import Customer, CustomerUpdated, Order, PurchaseCompleted, Touchpoint

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONDITION: TypeAdapter[Any] = TypeAdapter(Condition)
FIELDS: Fields = {
    "order.amount": Decimal("10.1"),
    "touchpoint.store": "Riverside",
    "history.purchases": 3,
    "attributes.vip": True,
    "attributes.weight": 2.5,
    "customer.locale": None,
    "answer.reasons": ("staff", "price"),
}


def one(field: str, operator: str, value: object = None) -> dict[str, object]:
    return {"field": field, "operator": operator, **({} if value is None else {"value": value})}


AMOUNT = one("order.amount", "ge", 10)
ELSEWHERE = one("touchpoint.store", "eq", "Elsewhere")


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        (one("order.amount", "eq", 10.1), True),
        (one("order.amount", "ne", 10.1), False),
        (one("order.amount", "lt", 10.2), True),
        (one("order.amount", "le", 10), False),
        (one("order.amount", "gt", 10), True),
        (one("order.amount", "ge", 10.1), True),
        (one("order.amount", "between", [10, 11]), True),
        (one("order.amount", "between", [11, 12]), False),
        (one("attributes.weight", "between", ["a", "z"]), False),
        (one("attributes.weight", "eq", "2.5"), False),
        (one("touchpoint.store", "in", ["Riverside", "Hill"]), True),
        (one("attributes.weight", "in", ["2.5", 2.5]), True),
        (one("touchpoint.store", "in", ["riverside"]), False),
        (one("touchpoint.store", "exists"), True),
        (one("customer.locale", "exists"), False),
        (one("customer.locale", "ne", "en"), False),
        (one("touchpoint.region", "ne", "south"), False),
        (one("history.purchases", "eq", 3), True),
        (one("attributes.vip", "eq", True), True),
        (one("attributes.vip", "eq", 1), False),
        (one("attributes.vip", "in", [1]), False),
        (one("attributes.weight", "eq", 2.5), True),
        (one("answer.reasons", "contains", "price"), True),
        (one("answer.reasons", "contains", "speed"), False),
        (one("touchpoint.store", "contains", "River"), False),
        ({"field": "touchpoint.store", "value": "Riverside"}, True),
        ({"all": [AMOUNT, one("touchpoint.store", "exists")]}, True),
        ({"all": [AMOUNT, ELSEWHERE]}, False),
        ({"any": [ELSEWHERE, AMOUNT]}, True),
        ({"any": [ELSEWHERE]}, False),
        ({"not": ELSEWHERE}, True),
        ({"not": AMOUNT}, False),
    ],
)
def test_condition(written: dict[str, object], holds: bool) -> None:  # noqa: FBT001 - a column of the table
    check = compile_check(CONDITION.validate_python(written))
    assert (check(FIELDS) is None) is holds


def test_the_part_that_does_not_hold_is_named() -> None:
    check = compile_check(CONDITION.validate_python({"all": [AMOUNT, {"not": {"any": [AMOUNT]}}]}))
    miss = check(FIELDS)
    assert miss is not None
    assert miss == {"not": {"any": [{**AMOUNT, "value": 10}]}}


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (one("order.amuont", "eq", 1), "no such field; did you mean order.amount?"),
        (one("attributes.", "eq", 1), "no such field; there are answer.category"),
        (one("order.amount", "eq"), "eq takes one value"),
        (one("order.amount", "ge", "50"), "order.amount is a number: write it without quotes"),
        (one("history.last_score", "in", [0, "1"]), "history.last_score is a number: write it without quotes"),
        (one("touchpoint.store", "eq", 12), "touchpoint.store is text: put it in quotes"),
        (one("answer.commented", "eq", "yes"), "answer.commented is true or false"),
        (one("answer.commented", "eq", 1), "answer.commented is true or false"),
        (one("order.amount", "lt", [1]), "lt takes one value"),
        (one("order.amount", "in", 1), "in takes a list"),
        (one("order.amount", "between", [1]), "between takes a list of two"),
        (one("order.amount", "exists", 1), "exists takes no value"),
        (one("order.amount", "like", "x"), "Input should be 'eq'"),
        ({"all": []}, "at least 1 item"),
        ({"any": [AMOUNT], "all": [AMOUNT]}, "Extra inputs"),
        (7, "valid dictionary"),
    ],
)
def test_wrong_condition_says_what_would_be_right(written: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        CONDITION.validate_python(written)


def test_conditions_are_counted_and_measured() -> None:
    condition = CONDITION.validate_python({"all": [AMOUNT, {"not": ELSEWHERE}, {"any": [AMOUNT, AMOUNT]}]})
    assert (count(condition), depth(condition)) == (4, 3)


def test_fields_come_from_event_customer_and_history() -> None:
    respondent = Respondent("c1", locale="ru", purchases=2, attributes={"tier": "gold"})
    payload = PurchaseCompleted(
        customer=Customer(id="c1"),
        order=Order(id="1", amount=Decimal("19.90"), currency="EUR"),
        touchpoint=Touchpoint(store="Riverside"),
        attributes={"gift": True},
    )
    fields = EventFields(payload, "shop", respondent, NOW)
    assert {name: value for name, value in fields.items() if value is not None} == {
        "event.type": "crm.purchase.completed",
        "event.source": "shop",
        "order.amount": Decimal("19.90"),
        "order.currency": "EUR",
        "touchpoint.store": "Riverside",
        "customer.locale": "ru",
        "history.purchases": 2,
        "attributes.gift": True,
        "customer.attributes.tier": "gold",
    }


def test_days_since_asked_are_whole_days() -> None:
    respondent = Respondent("c1").with_contact(ContactCause.INVITATION, "shop", NOW - timedelta(days=3, hours=23))
    payload = CustomerUpdated(customer=Customer(id="c1"))
    assert EventFields(payload, "shop", respondent, NOW)["history.days_since_asked"] == 3
