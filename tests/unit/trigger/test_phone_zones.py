"""The time zone of a customer whose events name none: of the phone number, the store or the program."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import pytest

from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.cases import Case, DecisionFacts
from services.trigger.domain.deciding.requests import request_json, survey_request
from services.trigger.domain.phone_zones import phone_zone
from services.trigger.domain.respondents import Respondent
from shared.contract.cloudevents import Event
from shared.contract.events import Customer, Order, PurchaseCompleted, SurveyRequested, Touchpoint, Window
from shared.zones import time_zone
from tests.unit.trigger.test_requests import program

SUMMER = datetime(2026, 7, 1, 9, 5, tzinfo=UTC)
WINTER = datetime(2026, 1, 15, 9, 5, tzinfo=UTC)
_ID = UUID(int=1)
USUAL, SHORT = Window(), Window(start=time(10), end=time(13))


@pytest.mark.parametrize(
    ("phone", "offset_h"),
    [
        ("+14155550123", -7),  # San Francisco
        ("+12125550123", -4),
        ("+16045551234", -7),  # Vancouver
        ("+74951234567", 3),  # a landline in Moscow
        ("+74232123456", 10),  # one in Vladivostok
        ("+380501234567", 3),
        ("+4915112345678", 2),
        ("+33612345678", 2),
        ("+447700900123", 1),  # reserved for fiction: the country's zone
        ("+8613800138000", 8),
        ("+81901234567", 9),
        ("+5511912345678", -3),
        ("+525512345678", -6),
        ("+998901234567", 5),
    ],
)
def test_number_in_one_zone_says_it(phone: str, offset_h: int) -> None:
    found = phone_zone(phone, window=USUAL, at=SUMMER)
    assert found is not None
    assert SUMMER.astimezone(time_zone(found.name)).hour == (9 + offset_h) % 24
    assert found.common_hours(USUAL) == USUAL


@pytest.mark.parametrize(
    "phone",
    [
        "+79991234567",  # a Russian mobile number: sixteen zones
        "+79000000000",  # the same, of a range that is not in use
        "+77011234567",  # Kazakhstan has Russia's country code
        "+18005550123",  # toll-free, all of North America
        "+870773123456",  # a satellite phone
        "+380",
        "+1",
        "",
        "x",
    ],
)
def test_number_that_may_be_anywhere_says_nothing(phone: str) -> None:
    assert phone_zone(phone, window=USUAL, at=SUMMER) is None


@pytest.mark.parametrize(
    ("phone", "zone", "hours"),
    [
        ("+34612345678", "Europe/Madrid", (10, 21)),  # at nine in Madrid it is eight on the Canary Islands
        ("+351912345678", "Europe/Lisbon", (10, 21)),
        ("+61412345678", "Australia/Adelaide", (12, 20)),
    ],
)
def test_number_in_a_few_zones_has_their_common_hours(phone: str, zone: str, hours: tuple[int, int]) -> None:
    found = phone_zone(phone, window=USUAL, at=SUMMER)
    assert found is not None
    assert (found.name, found.common_hours(USUAL)) == (zone, Window(start=time(hours[0]), end=time(hours[1])))


def test_short_window_needs_closer_zones() -> None:
    assert phone_zone("+34612345678", window=SHORT, at=SUMMER) is not None
    assert phone_zone("+61412345678", window=SHORT, at=SUMMER) is None


def test_zone_counts_at_its_offset_of_the_day() -> None:
    found = phone_zone("+14155550123", window=USUAL, at=WINTER)
    assert found is not None
    assert WINTER.astimezone(time_zone(found.name)).hour == 1


def case(respondent: Respondent, *, store: str | None = None, **written: Any) -> Case:
    asking = program("zones", time_zone="Europe/Moscow", **written)
    payload = PurchaseCompleted(customer=Customer(id="c1"), order=Order(id="1"), touchpoint=Touchpoint(store=store))
    facts = DecisionFacts(respondent, None, store_zones={"vvo-1": "Asia/Vladivostok"})
    return Case(Event("e1", "shop", SUMMER, payload), asking, facts, SUMMER)


@pytest.mark.parametrize(
    ("respondent", "store", "zone"),
    [
        (Respondent("c1", phone="+14155550123", time_zone="Asia/Tokyo"), "vvo-1", "Asia/Tokyo"),
        (Respondent("c1", phone="+14155550123"), "vvo-1", "America/Los_Angeles"),
        (Respondent("c1", phone="+79991234567"), "vvo-1", "Asia/Vladivostok"),
        (Respondent("c1", email="a@b.test"), "vvo-1", "Asia/Vladivostok"),
        (Respondent("c1", phone="+79991234567"), "elsewhere", "Europe/Moscow"),
        (Respondent("c1", phone="+79991234567"), None, "Europe/Moscow"),
    ],
)
def test_known_zone_comes_before_number_store_and_program(respondent: Respondent, store: str | None, zone: str) -> None:
    assert case(respondent, store=store).zone == zone


def test_request_has_the_common_hours_of_the_number_and_only_there() -> None:
    spain, bavaria = (
        case(Respondent("c1", phone=phone), plan=[{"channel": "email"}, {"channel": "sms", "after": "1d"}])
        for phone in ("+34612345678", "+4915112345678")
    )
    requests = [survey_request(each, invitation_id=_ID, send_at=SUMMER, link_key="k") for each in (spain, bavaria)]
    assert [request.plan[0].window for request in requests] == [Window(start=time(9)), Window(start=time(8))]
    assert [request.plan[1].window for request in requests] == [Window(start=time(10)), Window()]
    for each in requests:
        written = request_json(each, spain.program)
        model = SurveyRequested.model_validate_json(written)
        assert (written, model.plan) == (model.model_dump_json().encode(), each.plan)


def test_stores_zones_are_a_setting() -> None:
    settings = TriggerSettings(store_zones=" vvo-1 : Asia/Vladivostok, shop:7:Europe/Berlin,")
    assert settings.installation.store_zones == {"vvo-1": "Asia/Vladivostok", "shop:7": "Europe/Berlin"}


@pytest.mark.parametrize("wrong", ["vvo-1", "vvo-1:Vladivostok", ":Europe/Berlin"])
def test_unknown_zone_of_a_store_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected pairs such as store:Europe/Moscow"):
        TriggerSettings(store_zones=wrong)
