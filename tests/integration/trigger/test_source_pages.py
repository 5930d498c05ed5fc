"""The pages of sources show what arrived and what became of it; a press handles a parked message again."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.main import build_app
from shared.clock import ManualClock
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.transport import Message
from tests.integration.trigger import vendors
from tests.integration.trigger.samples import count, purchase
from tests.integration.trigger.test_source_webhooks import sources as sources  # noqa: PLC0414 - a fixture
from tests.integration.trigger.vendors import SHOPIFY_ORDER
from tests.staff import STAFF


@pytest.fixture
async def staff(sources: TriggerSettings, installed: Database, clock: ManualClock) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(build_app(sources, installed, clock))
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8001") as http:
        yield http


async def hook(
    http: httpx2.AsyncClient,
    document: dict[str, Any],
    *,
    topic: str = "orders/fulfilled",
    secret: str = "new",  # noqa: S107 - of a test,  # noqa: S107 - of a test
) -> int:
    body, headers = vendors.shopify(topic, document, secret=secret)
    return (await http.post("/v1/hooks/my-shopify", content=body, headers=headers)).status_code


async def page(http: httpx2.AsyncClient, source: str) -> str:
    return (await http.get("/sources", params={"source": source})).raise_for_status().text


async def test_page_shows_decisions_wrong_signatures_and_what_was_ignored(staff: httpx2.AsyncClient) -> None:
    assert await hook(staff, SHOPIFY_ORDER) == 202
    assert await hook(staff, SHOPIFY_ORDER, topic="orders/paid") == 202
    for _ in range(2):
        assert await hook(staff, SHOPIFY_ORDER, secret="wrong") == 401
    shown = await page(staff, "my-shopify")
    assert "order-820982911946154508-fulfilled" in shown
    assert "2: the signature or token was wrong" in shown
    assert "1: nothing in them concerns surveys" in shown
    assert "http://127.0.0.1:8000/v1/hooks/my-shopify" in shown
    assert "jon@example.com" not in shown


async def test_parked_message_is_handled_by_a_press_once_it_can_be_read(
    staff: httpx2.AsyncClient, installed: Database
) -> None:
    unreadable, readable = {**SHOPIFY_ORDER, "id": None}, SHOPIFY_ORDER
    async with installed.sessions.begin() as session:
        await parking.park(
            session,
            [
                (
                    Message("crm.events", "", json.dumps(document).encode(), vendor_headers(document), position),
                    "mended later",
                )
                for position, document in (("p/1", unreadable), ("p/2", readable))
            ],
        )
    presses = re.findall(r'action="(/sources/replay/[^"]+)"', await page(staff, "my-shopify"))
    assert len(presses) == 2
    said = [(await staff.post(each.replace("&amp;", "&"))).raise_for_status().text for each in presses]
    assert sum("Handled: Asked." in each for each in said) == 1
    assert sum("It stays parked: " in each for each in said) == 1
    assert await count(installed, "decisions") == 1
    assert await count(installed, "parked") == 1
    assert "tried again" in await page(staff, "my-shopify"), "in the line of the one that is still parked"
    assert (await staff.get("/sources")).text.count("parked messages were tried again, by software") == 2
    again = (await staff.post(presses[0].replace("&amp;", "&"))).text + (await staff.post(presses[1])).text
    assert "It is not parked any more." in again
    assert await count(installed, "decisions") == 1


def vendor_headers(document: dict[str, Any]) -> dict[str, str]:
    _, headers = vendors.shopify("orders/fulfilled", document, secret="new")
    return {
        **{name: value for name, value in headers.items() if name.lower().startswith("x-")},
        "earshot-source": "my-shopify",
    }


async def test_overview_lists_configured_sources_and_those_of_recent_events(staff: httpx2.AsyncClient) -> None:
    await staff.post("/v1/events", json=purchase("e1", source="shop/one"))
    shown = (await staff.get("/sources")).raise_for_status().text
    assert {"my-shopify", "my-woocommerce", "my-bitrix24", "erp", "crm.events"} <= set(
        re.findall(r">([\w./-]+)</a>", shown)
    )
    assert "/sources?source=shop/one" in shown
    one = await page(staff, "shop/one")
    assert "event e1" in one


async def test_unreadable_events_of_kafka_are_shown_without_their_contents(
    staff: httpx2.AsyncClient, installed: Database
) -> None:
    async with installed.sessions.begin() as session:
        await parking.park(
            session, [(Message("crm.events", "", b"{olga@example.com", {}, "crm.events/0/7"), "body: no JSON")]
        )
    shown = await page(staff, "crm.events")
    assert "body: no JSON" in shown
    assert "olga" not in shown


@pytest.mark.parametrize("name", ["unknown", "%' OR 1=1", "<b>", "a" * 200])
async def test_unknown_source_is_not_found(staff: httpx2.AsyncClient, name: str) -> None:
    assert (await staff.get("/sources", params={"source": name})).status_code == 404


async def test_message_with_what_was_left_out_names_it(staff: httpx2.AsyncClient) -> None:
    event = purchase("e1", customer={"id": "c1", "email": "ann@shop.example", "phone": "12"})
    await staff.post("/v1/events", json=event)
    assert "customer.phone" in await page(staff, "shop")
