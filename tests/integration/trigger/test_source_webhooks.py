"""Webhooks of shops and CRMs: signatures, mappings, repetition, and what cannot be mapped."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY

from services.trigger import main
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.handlers.intake import EventIntake
from services.trigger.main import build_app
from services.trigger.repository import decisions
from services.trigger.sources.bitrix24 import DealFetcher
from services.trigger.sources.webhooks import SourceWebhooks
from shared.clock import ManualClock
from shared.contract.events import SurveyRequested
from shared.database import db
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.lenient import MAX_NESTING
from shared.messaging.readmission import Readmission
from shared.messaging.transport import EventLog
from tests.integration.trigger import vendors
from tests.integration.trigger.samples import NOW, SETTINGS, count, published
from tests.integration.trigger.vendors import SHOPIFY_DELIVERED, SHOPIFY_ORDER, SHOPIFY_REDACT, WOO_ORDER

GENERIC = """
id: erp
kind: generic
signature:
  {header: X-Signature, algorithm: sha512, prefix: "v1=", signed: "{timestamp}.{body}", timestamp_header: X-Time}
mapping:
  events:
    - when: {state: done}
      type: crm.service.completed
      id: "{job}-done"
      time: {path: finished, transform: {time: "%d.%m.%Y %H:%M", zone: Europe/Moscow}}
      data: {customer.id: client.code, customer.email: client.mail, service.id: job}
"""


@pytest.fixture
def sources(tmp_path: Path) -> TriggerSettings:
    for kind in ("shopify", "woocommerce", "bitrix24"):
        (tmp_path / f"{kind}.yaml").write_text(f"{{id: my-{kind}, kind: {kind}}}")
    (tmp_path / "erp.yaml").write_text(GENERIC)
    names = ("my-shopify", "my-woocommerce", "my-bitrix24", "erp")
    secrets = ",".join(f"{name}:new,{name}:old" for name in names)
    return TriggerSettings(
        _env_file=None, sources=tmp_path, source_secrets=secrets, source_urls="my-bitrix24:http://127.0.0.1:1/"
    )


@pytest.fixture
async def outside(
    sources: TriggerSettings, installed: Database, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(build_app(sources, installed, clock))
    async with httpx2.AsyncClient(
        transport=transport, base_url="https://hooks.example/v1/hooks", headers={"x-forwarded-for": "203.0.113.9"}
    ) as http:
        yield http


async def shop(
    http: httpx2.AsyncClient, topic: str, document: dict[str, Any], *, with_: str = "new"
) -> tuple[int, str | None]:
    body, headers = vendors.shopify(topic, document, secret=with_)
    answer = await http.post("/my-shopify", content=body, headers=headers)
    return answer.status_code, answer.json().get("result")


async def stored(database: Database) -> list[tuple[str, str, str]]:
    async with database.sessions() as session:
        found = await decisions.search(session, respondents=None, event_id=None, limit=1000)
    return [(each.type, each.respondent_id, each.event_id) for each in reversed(found)]


async def parked(database: Database) -> list[str]:
    async with database.sessions() as session:
        return [row.reason for row in await parking.list_parked(session)]


async def test_shopify_order_is_asked_about_when_it_is_fulfilled(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    assert await shop(outside, "orders/paid", SHOPIFY_ORDER) == (202, "ignored")
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    (request,) = await published(installed)
    assert isinstance(request.payload, SurveyRequested)
    assert request.payload.customer_name == "John Smith"
    assert request.payload.contact.model_dump() == {"email": "jon@example.com", "phone": "+16135550127"}
    assert (request.payload.consent.email, request.payload.consent.sms) == (True, True)
    assert request.payload.event.id == "order-820982911946154508-fulfilled"
    assert request.payload.event.time.isoformat() == "2026-03-01T11:00:00+00:00"
    assert request.payload.segments["store"] == "shop.myshopify.com"


async def test_shopify_order_is_fulfilled_delivered_cancelled_and_redacted(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    cancelled = {**SHOPIFY_ORDER, "cancelled_at": "2026-03-01T06:40:00-05:00", "cancel_reason": "customer"}
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    assert await shop(outside, "fulfillment_events/create", {**SHOPIFY_DELIVERED, "status": "in_transit"}) == (
        202,
        "ignored",
    )
    assert await shop(outside, "fulfillment_events/create", SHOPIFY_DELIVERED) == (202, "decided")
    assert await shop(outside, "orders/cancelled", cancelled) == (202, "decided")
    assert await shop(outside, "customers/redact", SHOPIFY_REDACT) == (202, "decided")
    customer = "ns:my-shopify:115310627314723954"
    redacted = hashlib.sha256(json.dumps(SHOPIFY_REDACT).encode()).hexdigest()
    assert await stored(installed) == [
        ("crm.purchase.completed", customer, "order-820982911946154508-fulfilled"),
        ("crm.order.delivered", customer, "order-820982911946154508-delivered-123456"),
        ("crm.purchase.cancelled", customer, "order-820982911946154508-cancelled"),
        ("crm.customer.erased", customer, f"redact-{redacted[:32]}"),
    ]
    assert [event.type for event in await published(installed)] == [
        "survey.requested",
        "survey.withdrawn",
        "respondent.erased",
    ]


async def test_replayed_webhook_changes_nothing(outside: httpx2.AsyncClient, installed: Database) -> None:
    for _ in range(3):
        assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    changed = {**SHOPIFY_ORDER, "current_total_price": "1.00"}
    assert await shop(outside, "orders/fulfilled", changed) == (202, "known")
    assert await count(installed, "decisions") == 1


async def test_both_secrets_are_valid_while_one_is_replaced_and_any_other_is_refused_and_counted(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    labels = {"service": "trigger", "source": "my-shopify", "result": "refused"}
    before = REGISTRY.get_sample_value("earshot_source_webhooks_total", labels) or 0
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER, with_="old") == (202, "decided")
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER, with_="stolen") == (401, None)
    body, headers = vendors.shopify("orders/fulfilled", SHOPIFY_ORDER, secret="new")
    assert (await outside.post("/my-shopify", content=body + b" ", headers=headers)).status_code == 401
    assert (await outside.post("/my-shopify", content=body)).status_code == 401
    strange = {**headers, "X-Shopify-Hmac-Sha256": "é".encode("latin-1")}
    assert (await outside.post("/my-shopify", content=body, headers=strange)).status_code == 401  # type: ignore[arg-type]
    assert REGISTRY.get_sample_value("earshot_source_webhooks_total", labels) == before + 4
    assert (await outside.post("/unknown", content=body, headers=headers)).status_code == 404
    assert await count(installed, "decisions") == 1


async def test_what_cannot_be_mapped_is_parked_once_with_the_path_that_failed(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    guest = {**SHOPIFY_ORDER, "customer": None, "email": None}
    for _ in range(2):
        assert await shop(outside, "orders/fulfilled", guest) == (202, "parked")
    endless = {**SHOPIFY_ORDER, "customer": {"id": "9" * 201}}
    assert await shop(outside, "orders/fulfilled", endless) == (202, "parked")
    assert await shop(outside, "fulfillment_events/create", SHOPIFY_DELIVERED) == (202, "parked")
    assert await parked(installed) == [
        "customer.id: no value at customer.id or email",
        "customer.id: String should have at most 200 characters (from customer.id or email)",
        "customer.id: no earlier event has the id at order_id",
    ]


async def test_parked_delivery_is_replayed_once_its_order_is_known(
    outside: httpx2.AsyncClient, sources: TriggerSettings, installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    assert await shop(outside, "fulfillment_events/create", SHOPIFY_DELIVERED) == (202, "parked")
    logs = main.EventLogs(event_log, event_log, event_log)
    crm = main.consumers(sources, installed, logs, sources=load_sources(sources), clock=clock)["crm"]
    replay = Readmission(crm, partial(main.with_earlier_customer, installed.sessions)).replay
    async with installed.sessions() as session:
        (row,) = await parking.list_parked(session)
    assert await replay(row) == "customer.id: no earlier event has the id at order_id"
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    assert await replay(row) == ""
    assert await parked(installed) == []
    assert await count(installed, "decisions") == 2


async def test_captured_order_replayed_as_an_erasure_erases_nobody(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    for topic in ("customers/redact", "orders/cancelled", "orders/updated"):
        assert await shop(outside, topic, SHOPIFY_ORDER) == (202, "ignored")
    assert [event.type for event in await published(installed)] == ["survey.requested"]


async def test_erasure_replayed_under_another_webhook_id_erases_once(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    body, headers = vendors.shopify("customers/redact", SHOPIFY_REDACT, secret="new")
    for replayed in ("w1", "w2"):
        answer = await outside.post("/my-shopify", content=body, headers={**headers, "X-Shopify-Webhook-Id": replayed})
        assert answer.json() == {"result": "decided"}
    assert await count(installed, "decisions") == 1


async def test_erasure_that_only_a_header_asks_for_is_parked(
    sources: TriggerSettings, installed: Database, clock: ManualClock
) -> None:
    assert sources.sources is not None
    rule = """
  events:
    - when: {$headers.x-shopify-topic: customers/redact}
      type: crm.customer.erased
      id: "redact-{$headers.x-shopify-webhook-id}"
      time: $received
      data: {customer.id: customer.id}
"""
    (sources.sources / "shopify.yaml").write_text(f"id: my-shopify\nkind: shopify\nmapping:{rule}")
    transport = httpx2.ASGITransport(build_app(sources, installed, clock))
    async with httpx2.AsyncClient(transport=transport, base_url="https://hooks.example/v1/hooks") as http:
        assert await shop(http, "customers/redact", SHOPIFY_ORDER) == (202, "parked")
    assert await parked(installed) == [
        "type: an erasure needs a condition on a field of the body, because headers are not signed"
    ]


@pytest.mark.parametrize("path", ["/shopify", "/no-such", "/erp-topic"])
async def test_unknown_source_is_told_how_to_configure_one(
    sources: TriggerSettings, installed: Database, clock: ManualClock, path: str
) -> None:
    assert sources.sources is not None
    (sources.sources / "topic.yaml").write_text("{id: erp-topic, kind: kafka, topics: [t]}")
    transport = httpx2.ASGITransport(build_app(sources, installed, clock))
    async with httpx2.AsyncClient(transport=transport, base_url="https://hooks.example/v1/hooks") as http:
        answer = await http.post(path, content=b"{}")
    assert answer.status_code == 404
    assert "EARSHOT_SOURCES" in answer.json()["detail"]
    assert "EARSHOT_SOURCE_SECRETS" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<?xml version='1.0'?><order/>", "body: expected JSON, found XML: choose JSON as the format"),
        (b"\n <order></order>", "body: expected JSON, found XML: "),
        (b"payload=%7B%22id%22%3A7%7D", "body: expected JSON, found a form: choose application/json"),
        (b"data[id]=7&x=1", "body: expected JSON, found a form: "),
        (b"{", "body: Input data was truncated"),
        (b"x", "body: JSON is malformed"),
        (b'{"note": ' + b"[" * 700 + b"]" * 700 + b"}", "body: nested too deeply"),
    ],
)
async def test_body_of_another_format_is_parked_with_what_to_choose(
    outside: httpx2.AsyncClient, installed: Database, body: bytes, reason: str
) -> None:
    headers = {"X-Shopify-Hmac-Sha256": vendors.signed(body, "new"), "X-Shopify-Topic": "orders/fulfilled"}
    assert (await outside.post("/my-shopify", content=body, headers=headers)).json() == {"result": "parked"}
    ((told),) = await parked(installed)
    assert told.startswith(reason)


async def test_body_may_begin_with_a_byte_order_mark(outside: httpx2.AsyncClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(SHOPIFY_ORDER).encode()
    headers = {"X-Shopify-Hmac-Sha256": vendors.signed(body, "new"), "X-Shopify-Topic": "orders/fulfilled"}
    assert (await outside.post("/my-shopify", content=body, headers=headers)).json() == {"result": "decided"}


async def test_document_nested_as_deeply_as_is_allowed_is_read(outside: httpx2.AsyncClient) -> None:
    deep = json.loads("[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1))
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER | {"note_attributes": deep}) == (202, "decided")


async def test_split_shipment_is_asked_about_when_its_last_parcel_left(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    parcels = [
        {"id": 1, "created_at": "2026-01-01T06:00:00-05:00", "status": "success"},
        {"id": 2, "created_at": "2026-03-01T06:00:00-05:00", "status": "success"},
    ]
    assert await shop(outside, "orders/partially_fulfilled", {**SHOPIFY_ORDER, "fulfillments": parcels[:1]}) == (
        202,
        "ignored",
    )
    assert await shop(outside, "orders/fulfilled", {**SHOPIFY_ORDER, "fulfillments": parcels}) == (202, "decided")
    assert [event.type for event in await published(installed)] == ["survey.requested"]


async def test_full_refund_withdraws_and_a_partial_one_does_not(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    assert await shop(outside, "orders/fulfilled", SHOPIFY_ORDER) == (202, "decided")
    partial = {**SHOPIFY_ORDER, "financial_status": "partially_refunded", "current_total_price": "199.00"}
    assert await shop(outside, "orders/updated", partial) == (202, "ignored")
    assert len(await published(installed)) == 1
    for _ in range(2):
        assert await shop(outside, "orders/updated", {**partial, "financial_status": "refunded"}) == (202, "decided")
    assert [event.type for event in await published(installed)] == ["survey.requested", "survey.withdrawn"]


async def test_woocommerce_order_is_asked_about_when_it_is_completed_not_paid(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    results = []
    for status in ("processing", "completed", "refunded"):
        body, headers = vendors.woo({**WOO_ORDER, "status": status}, secret="new")
        answer = await outside.post("/my-woocommerce", content=body, headers=headers)
        results.append((answer.status_code, answer.json()["result"]))
    assert results == [(202, "ignored"), (202, "decided"), (202, "decided")]
    guest = f"ns:my-woocommerce:{SETTINGS.address_keys.pseudonym('john.doe@example.com')}"
    assert await stored(installed) == [
        ("crm.purchase.completed", guest, "order-727-completed"),
        ("crm.purchase.cancelled", guest, "order-727-refunded"),
    ]
    (request, withdrawal) = await published(installed)
    assert isinstance(request.payload, SurveyRequested)
    assert request.payload.event.time.isoformat() == "2026-03-01T11:00:00+00:00"
    assert withdrawal.type == "survey.withdrawn"


async def woo(http: httpx2.AsyncClient, **changed: Any) -> str:
    body, headers = vendors.woo({**WOO_ORDER, **changed}, secret="new")
    answer = await http.post("/my-woocommerce", content=body, headers=headers)
    assert answer.status_code == 202
    return str(answer.json()["result"])


@pytest.mark.parametrize("first", ["cancelled", "failed"])
async def test_woocommerce_order_paid_after_its_cancellation_is_asked_about(
    outside: httpx2.AsyncClient, installed: Database, first: str
) -> None:
    assert await woo(outside, status=first, date_modified_gmt="2026-03-01T10:00:00") == "decided"
    assert await woo(outside, status="processing", date_modified_gmt="2026-03-01T10:30:00") == "ignored"
    assert await woo(outside) == "decided"
    assert await woo(outside, status="processing", date_modified_gmt="2026-03-01T11:40:00") == "ignored"
    assert await woo(outside, date_completed_gmt="2026-03-01T11:45:00") == "decided"
    assert [event.type for event in await published(installed)] == ["survey.requested"]
    assert await woo(outside, status=first, date_modified_gmt="2026-03-01T11:50:00") == "decided"
    assert [event.type for event in await published(installed)] == ["survey.requested", "survey.withdrawn"]


async def test_partial_refund_of_woocommerce_withdraws_nothing(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    assert await woo(outside) == "decided"
    assert await woo(outside, refunds=[{"id": 729, "reason": "", "total": "-10.00"}]) == "decided"
    assert await woo(outside, refunds=[{"id": 729, "reason": "", "total": "-10.00"}], total="19.35") == "known"
    assert [event.type for event in await published(installed)] == ["survey.requested"]


async def test_detail_that_the_mapping_cannot_read_is_named_and_loses_no_event(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    odd = {**SHOPIFY_ORDER, "currency": "dollar", "line_items": {}, "name": "#1030"}
    assert await shop(outside, "orders/fulfilled", odd) == (202, "decided")
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT reason, ignored FROM decisions")
    assert row["reason"] == "asked"
    assert {each["field"] for each in row["ignored"]} == {"order.currency", "order.items"}
    (request,) = await published(installed)
    assert isinstance(request.payload, SurveyRequested)
    assert request.payload.event.number == "#1030"


async def test_unsigned_woocommerce_ping_is_answered(outside: httpx2.AsyncClient) -> None:
    assert (await outside.post("/my-woocommerce", content=b"webhook_id=3")).json() == {"result": "ignored"}
    assert (await outside.post("/my-woocommerce", content=b"webhook_id=3&x=1")).status_code == 401


async def test_generic_source_needs_its_signature_and_a_recent_time(
    outside: httpx2.AsyncClient, installed: Database
) -> None:
    job = {
        "job": 5,
        "state": "done",
        "finished": "01.03.2026 13:00",
        "client": {"code": "C5", "mail": "c5@example.com"},
    }
    body = json.dumps(job).encode()

    async def send(at: float, *, with_: str = "new") -> int:
        moment = str(int(at))
        digest = hmac.new(with_.encode(), moment.encode() + b"." + body, hashlib.sha512).hexdigest()
        headers = {"X-Signature": f"v1={digest}", "X-Time": moment}
        return (await outside.post("/erp", content=body, headers=headers)).status_code

    now = time.time()
    assert [await send(now - 400), await send(now + 400), await send(now, with_="x")] == [401, 401, 401]
    assert await send(now - 200, with_="old") == 202
    assert await stored(installed) == [("crm.service.completed", "ns:erp:C5", "5-done")]


@asynccontextmanager
async def running_bitrix24(
    sources: TriggerSettings, database: Database, *, decide: Any = None
) -> AsyncIterator[tuple[vendors.Bitrix24, DealFetcher]]:
    """Run a fake Bitrix24 and a fetcher for it."""
    async with vendors.bitrix24() as crm:
        urls = TriggerSettings(_env_file=None, source_urls=f"my-bitrix24:{crm.url}").source_urls
        known = load_sources(sources.model_copy(update={"source_urls": urls}))
        hooks = SourceWebhooks(EventIntake(database.sessions, ManualClock(NOW), SETTINGS), known)
        fetcher = DealFetcher(database.sessions, known, decide or hooks.decide)
        yield crm, fetcher
        await fetcher.close()


async def test_bitrix24_deal_is_fetched_before_it_is_decided(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        for _ in range(3):
            notice = await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="old"))
            assert (notice.status_code, notice.json()["result"]) == (202, "queued")
        assert [await fetcher.tick(), await fetcher.tick()] == [1, 0]
        assert crm.asked == [("crm.deal.get.json", "410"), ("crm.contact.get.json", "84")]
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        crm.deal["STAGE_SEMANTIC_ID"] = "F"
        assert await fetcher.tick() == 1
    assert await stored(installed) == [
        ("crm.purchase.completed", "ns:my-bitrix24:84", "deal-410-won"),
        ("crm.purchase.cancelled", "ns:my-bitrix24:84", "deal-410-lost"),
    ]
    (request, _) = await published(installed)
    assert isinstance(request.payload, SurveyRequested)
    assert request.payload.contact.model_dump() == {"email": "anna@example.com", "phone": "+79261234567"}


async def test_bitrix24_that_is_busy_is_asked_again_later_and_given_up_after_the_last_attempt(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        crm.failures = 1
        assert [await fetcher.tick(), await fetcher.tick()] == [1, 0]
        assert await count(installed, "rereads") == 1
        async with installed.sessions.begin() as session:
            await db.fetch(session, "UPDATE rereads SET due_at = clock_timestamp(), attempts = 99")
        crm.failures = 1
        assert await fetcher.tick() == 1
        assert await count(installed, "rereads") == 0
    assert await count(installed, "decisions") == 0


@pytest.mark.parametrize("reply", [{"error": "expired_token"}, {"result": []}, {"result": None}, {"result": True}, {}])
async def test_reply_of_bitrix24_without_a_deal_is_no_success(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database, reply: dict[str, Any]
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        crm.replies["crm.deal.get.json"] = (200, reply)
        assert await fetcher.tick() == 1
    assert await count(installed, "rereads") == 1
    assert await count(installed, "decisions") == 0


async def test_deleted_contact_loses_no_deal_and_a_deleted_deal_is_asked_for_once(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        crm.replies["crm.contact.get.json"] = (400, {"error": "", "error_description": "Not found"})
        assert await fetcher.tick() == 1
        crm.replies["crm.deal.get.json"] = (400, {"error": "", "error_description": "Not found"})
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        assert await fetcher.tick() == 1
    assert await count(installed, "rereads") == 0
    assert await stored(installed) == [("crm.purchase.completed", "ns:my-bitrix24:84", "deal-410-won")]


async def test_queued_deal_of_a_source_that_is_not_configured_stays_queued(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        without = DealFetcher(installed.sessions, {}, fetcher.decide)
        assert await without.tick() == 1
        assert crm.asked == []
        assert await count(installed, "rereads") == 1
        async with installed.sessions.begin() as session:
            await db.fetch(session, "UPDATE rereads SET due_at = clock_timestamp()")
        assert await fetcher.tick() == 1
    assert await count(installed, "decisions") == 1


@pytest.mark.parametrize("nobody", [None, "", "0", 0])
async def test_deal_without_contact_and_company_is_parked_with_the_paths(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database, nobody: object
) -> None:
    async with running_bitrix24(sources, installed) as (crm, fetcher):
        crm.deal |= {"CONTACT_ID": nobody, "COMPANY_ID": nobody}
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        assert await fetcher.tick() == 1
        assert crm.asked == [("crm.deal.get.json", "410")]
    assert await parked(installed) == ["customer.id: no value at deal.CONTACT_ID or deal.COMPANY_ID"]


async def test_notice_during_a_fetch_causes_another_fetch(
    sources: TriggerSettings, outside: httpx2.AsyncClient, installed: Database
) -> None:
    async def while_asking(*_: object) -> None:
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))

    async with running_bitrix24(sources, installed, decide=while_asking) as (_, fetcher):
        await outside.post("/my-bitrix24", content=vendors.bitrix("410", token="new"))
        assert [await fetcher.tick(), await fetcher.tick()] == [1, 1]


@pytest.mark.parametrize(
    "body",
    [
        vendors.bitrix("410", token="stolen"),
        vendors.bitrix("410", token=""),
        b"event=ONCRMDEALUPDATE",
        b"\xff",
        b"a=b&" * 300,
        b"",
    ],
)
async def test_bitrix24_without_its_token_is_refused(outside: httpx2.AsyncClient, body: bytes) -> None:
    assert (await outside.post("/my-bitrix24", content=body)).status_code == 401


async def test_other_events_of_bitrix24_are_ignored(outside: httpx2.AsyncClient, installed: Database) -> None:
    for body in (vendors.bitrix("410", token="new", event="ONTASKUPDATE"), vendors.bitrix("4x", token="new")):
        assert (await outside.post("/my-bitrix24", content=body)).json() == {"result": "ignored"}
    assert await count(installed, "rereads") == 0
