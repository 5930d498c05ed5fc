"""A privacy officer finds a customer by whatever is known, sees all that is stored, exports it and erases it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.handlers.feedback import on_feedback
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.events import ErasedPlace, ErasureConfirmed
from shared.contract.vocabulary import ErasedAt, Service
from shared.database.db import Database
from tests.audit import audit_rows
from tests.integration.trigger.samples import NOW, SETTINGS, body, decide, published, purchase

ANN: dict[str, Any] = {"id": "c1", "name": "Ann Lee", "email": "Ann@Shop.example", "phone": "+7 916 123-45-67"}
NUMBERED = {"id": "gid://shop/5", "number": "#A-1"}


@pytest.fixture
def settings() -> TriggerSettings:
    return TriggerSettings(_env_file=None, phone_region="RU")


@pytest.fixture(autouse=True)
async def ann(installed: Database) -> None:
    """Ann with two ids that share an address, a guest, and somebody who shares nothing."""
    await decide(
        installed,
        [
            purchase("e1", order="1030", customer=ANN),
            purchase("e2", order="1031", customer={"id": "c2", "email": "ann@shop.example"}),
            purchase("e3", order="77", customer={"id": "guest@shop.example"}),
            purchase("e4", order="78", customer={"id": "c9", "name": "Bob", "email": "bob@shop.example"}),
        ],
    )


async def confirm(database: Database, service: Service, *places: ErasedPlace) -> None:
    """Let a service tell that it has erased Ann."""
    confirmed = ErasureConfirmed(respondent_id="c1", service=service, places=list(places))
    async with database.sessions.begin() as session:
        event = cloudevents.new(confirmed, service=service, at=NOW)
        await on_feedback(session, [event], now=NOW, settings=SETTINGS)


async def found(client: httpx2.AsyncClient, typed: str) -> list[tuple[str, bool]]:
    """Return the ids that a search shows, and whether each is ticked."""
    page = (await client.get("/customers", params={"find": typed})).raise_for_status().text
    return [(id_, bool(ticked)) for id_, ticked in re.findall(r'name="id" value="([^"]+)"( checked)?', page)]


@pytest.mark.parametrize(
    "typed", ["c1", " c1 ", "+79161234567", "8 (916) 123-45-67", "9161234567", "1030"], ids=lambda typed: typed.strip()
)
async def test_customer_is_found_and_who_shares_an_address_is_listed(client: httpx2.AsyncClient, typed: str) -> None:
    assert await found(client, typed) == [("c1", True), ("c2", False)]


@pytest.mark.parametrize("typed", ["#A-1", "A-1", "a-1", "№ A-1"])
async def test_order_is_found_by_the_number_people_know(
    client: httpx2.AsyncClient, installed: Database, typed: str
) -> None:
    await decide(installed, [body("purchase.completed", "e5", customer={"id": "c5"}, order=NUMBERED)])
    assert await found(client, typed) == [("c5", True)]
    assert await found(client, "gid://shop/5") == [("c5", True)]


async def test_service_is_found_by_the_number_people_know(client: httpx2.AsyncClient, installed: Database) -> None:
    service = {"id": "s-9", "number": "R 77", "type": "repair"}
    await decide(installed, [body("service.completed", "e5", customer={"id": "c5"}, service=service)])
    assert await found(client, "r 77") == [("c5", True)]


async def test_order_is_called_by_the_number_people_know_and_its_program_by_its_title(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    events = [
        body("purchase.completed", "e5", customer={"id": "c5", "email": "c5@shop.example"}, order=NUMBERED),
        body("purchase.cancelled", "e6", customer={"id": "c5"}, order={"id": NUMBERED["id"]}),
    ]
    for each in events:
        await decide(installed, [each])
    for page in ("/decisions?customer=c5", "/customer/trigger?id=c5", "/sources?source=shop"):
        shown = (await client.get(page)).text
        assert ("purchase #A-1" in shown, "cancellation of the purchase #A-1" in shown) == (True, True), page
        assert "gid://shop/5" not in shown
    assert (
        '<span class="strong">After a purchase or a service</span>' in (await client.get("/decisions?customer=c5")).text
    )


async def test_erased_customer_is_not_found_by_the_number_of_an_order(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    await decide(installed, [body("purchase.completed", "e5", customer={"id": "c5"}, order=NUMBERED)])
    await decide(installed, [body("customer.erased", "e6", customer={"id": "c5"})])
    assert await found(client, "#A-1") == []


class TestWithoutCountry:
    """Where no country of telephone numbers is set, a number is one of the country of the page's language."""

    @pytest.fixture
    def settings(self) -> TriggerSettings:
        return TriggerSettings(_env_file=None)

    @pytest.mark.parametrize(("language", "count"), [("ru", 1), ("en", 0)])
    async def test_telephone_is_found_as_people_write_it(
        self, client: httpx2.AsyncClient, installed: Database, language: str, count: int
    ) -> None:
        await decide(installed, [purchase("e5", order="79", customer={"id": "c5", "phone": "+7 900 002-84-85"})])
        find = {"find": "8 900 002-84-85"}
        page = (await client.get("/customers", params=find, headers={"accept-language": language})).text
        assert page.count('value="c5"') == count


async def test_address_in_any_case_finds_every_id_that_has_it(client: httpx2.AsyncClient) -> None:
    assert await found(client, "ANN@shop.example") == [("c1", True), ("c2", True)]
    [(guest, ticked)] = await found(client, "guest@shop.example")
    assert (guest.startswith("guest-"), ticked) == (True, True)


async def test_line_of_a_history_of_several_customers_says_whose_it_is(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/customer/trigger", params={"id": ["c1", "c2", "c1"]})).text
    assert re.findall(r"<code>(c\d)</code> <span class=\"kind\">", page) == ["c1", "c2"]
    alone = (await client.get("/customer/trigger", params={"id": "c1"})).text
    assert "</code> <span" not in alone


BROWSER = {"accept": "text/html", "accept-language": "ru"}


@pytest.mark.parametrize(
    ("path", "ids", "title"),
    [
        ("/customer/trigger", [], "Никто не выбран"),
        ("/customers/erase", [], "Никто не выбран"),
        ("/customers/erased", [], "Никто не выбран"),
        ("/customer/trigger", [""], "Никто не выбран"),
        ("/customer/trigger", [str(number) for number in range(60)], "Слишком много клиентов сразу"),
    ],
)
async def test_choice_that_cannot_be_shown_is_told_in_words(
    client: httpx2.AsyncClient, path: str, ids: list[str], title: str
) -> None:
    refused = await client.get(path, params={"id": ids}, headers=BROWSER)
    assert (refused.status_code, title in refused.text, "форму" in refused.text) == (422, True, False)


async def test_customer_of_whom_nothing_is_stored_cannot_be_erased(client: httpx2.AsyncClient) -> None:
    assert "/customers/erase?" in (await client.get("/customer/trigger", params={"id": "c1"})).text
    assert "/customers/erase?" not in (await client.get("/customer/trigger", params={"id": "nobody"})).text


@pytest.mark.parametrize("typed", ["nobody", "nobody@shop.example", "+79160000000", "%", "'"])
async def test_nobody_is_found_where_nobody_is(client: httpx2.AsyncClient, typed: str) -> None:
    assert await found(client, typed) == []


async def test_search_with_a_nul_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/customers", params={"find": "\x00"})).status_code == 400


async def test_page_and_export_have_all_that_trigger_stores(client: httpx2.AsyncClient, installed: Database) -> None:
    page = (await client.get("/customer/trigger", params={"id": ["c1", "c2"]})).raise_for_status().text
    assert all(each in page for each in ("Ann Lee", "+79161234567", "1030", "1031", "Asked"))
    assert "bob@shop.example" not in page
    answer = await client.get("/v1/customer-trigger", params={"id": "c1"})
    assert answer.headers["content-disposition"] == 'attachment; filename="customer-trigger.json"'
    exported = answer.json()
    assert [(each["kind"], each["data"]["event_id"]) for each in exported["entries"]] == [("decision", "e1")]
    assert (exported["facts"][0]["email"], exported["facts"][0]["purchases"]) == ("Ann@shop.example", 1)
    looked = [(row.action, row.stage, row.details) for row in await audit_rows(installed)]
    assert looked == [
        ("GET /customer/trigger", "asked", "{}"),
        ("GET /customer/trigger", "ended", '{"ids":2}'),
        ("GET /v1/customer-trigger", "asked", "{}"),
        ("GET /v1/customer-trigger", "ended", '{"ids":1}'),
    ]


async def test_every_ticked_id_is_erased_and_the_receipt_says_what_stays(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    asked = (await client.get("/customers/erase", params={"id": ["c1", "c2"]})).raise_for_status().text
    assert ("It cannot be undone" in asked, re.findall(r'name="id" value="(\w+)"', asked)) == (True, ["c1", "c2"])
    pressed = await client.post("/customers/erase", data={"id": ["c1", "c2"]})
    receipt = (await client.get(pressed.headers["location"])).raise_for_status().text
    assert ("decisions until their age is over" in receipt, receipt.count("not confirmed yet")) == (True, 4)
    assert receipt.count("erased 1 Mar 2026, 12:00") == 2
    await confirm(installed, Service.DISPATCHER, ErasedPlace(name="CRM", done=ErasedAt.EMPTIED))
    await confirm(installed, Service.SCORING)
    receipt = (await client.get(pressed.headers["location"])).text
    assert (receipt.count("not confirmed yet"), "CRM: the fields are emptied" in receipt) == (2, True)
    erased = [event.payload.key for event in await published(installed) if event.type == "respondent.erased"]
    assert erased == ["c1", "c2"]
    page = (await client.get("/customer/trigger", params={"id": "c1"})).text
    assert ("Ann" in page, "Erased" in page) == (False, True)


@pytest.mark.parametrize("ids", [[], ["c1", " "], [f"c{number}" for number in range(51)]], ids=len)
async def test_bad_choice_erases_nobody(client: httpx2.AsyncClient, installed: Database, ids: list[str]) -> None:
    assert (await client.post("/customers/erase", data={"id": ids})).status_code == 422
    assert [event for event in await published(installed) if event.type == "respondent.erased"] == []


async def test_confirmation_of_an_earlier_erasure_is_none_of_this(
    client: httpx2.AsyncClient, installed: Database, clock: ManualClock
) -> None:
    await client.post("/customers/erase", data={"id": ["c1"]})
    await confirm(installed, Service.SCORING)
    assert (await client.get("/customers/erased", params={"id": "c1"})).text.count("not confirmed yet") == 1
    clock.moment += timedelta(days=1)
    await client.post("/customers/erase", data={"id": ["c1"]})
    assert (await client.get("/customers/erased", params={"id": "c1"})).text.count("not confirmed yet") == 2


async def test_nobody_who_is_not_known_is_erased(client: httpx2.AsyncClient, installed: Database) -> None:
    assert (await client.get("/customers/erase", params={"id": "c0"})).status_code == 404
    assert (await client.post("/customers/erase", data={"id": ["c1", "c0"]})).status_code == 404
    assert [event for event in await published(installed) if event.type == "respondent.erased"] == []
    receipt = (await client.get("/customers/erased", params={"id": "c1"})).text
    assert receipt.count("no erasure was asked for") == 3
    assert "Nothing is stored here under this id" in (await client.get("/customer/trigger", params={"id": "c0"})).text


async def test_two_officers_erase_one_person(client: httpx2.AsyncClient, installed: Database) -> None:
    for _ in range(2):
        assert (await client.post("/customers/erase", data={"id": ["c1"]})).status_code == 303
    assert [each.payload.key for each in await published(installed) if each.type == "respondent.erased"] == ["c1"] * 2


async def test_customer_with_ten_thousand_decisions_is_exported_whole(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    for start in range(0, 10_000, 1000):
        await decide(installed, [purchase(f"p{n}", order=f"o{n}", customer=ANN) for n in range(start, start + 1000)])
    exported = (await client.get("/v1/customer-trigger", params={"id": "c1"})).json()
    assert len(exported["entries"]) == 10_001
    page = (await client.get("/customer/trigger", params={"id": "c1"})).text
    assert (page.count("data-at"), "Only the newest are shown here" in page) == (500, True)
