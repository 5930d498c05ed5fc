"""What the mappings of the vendors make of the webhooks that shops and CRMs send; bodies follow their documentation."""

from __future__ import annotations

from typing import Any

import pytest

from services.trigger.config import vendors_mapping
from services.trigger.domain.sources.mapping import MappedEvent, Unmappable, compile_mapping
from tests.integration.trigger.vendors import (
    BITRIX_CONTACT,
    BITRIX_DEAL,
    SHOPIFY_DELIVERED,
    SHOPIFY_ORDER,
    SHOPIFY_REDACT,
    WOO_ORDER,
)

CUSTOMER = "115310627314723954"
ORDER = "820982911946154508"
COMPLETED, CANCELLED = "crm.purchase.completed", "crm.purchase.cancelled"
CANCELLED_AT = {"cancelled_at": "2026-03-01T06:40:00-05:00", "cancel_reason": "customer"}
REFUNDED = {
    "financial_status": "refunded",
    "current_total_price": "0.00",
    "refunds": [
        {"id": 1, "created_at": "2026-03-01T07:00:00-05:00"},
        {"id": 2, "created_at": "2026-03-02T07:00:00-05:00"},
    ],
}
REFUND = {
    "id": 890088186047892319,
    "order_id": 820982911946154508,
    "created_at": "2026-03-01T07:00:00-05:00",
    "note": "Things were damaged",
    "refund_line_items": [{"id": 1, "line_item_id": 866550311766439020, "quantity": 1, "subtotal": 199.0}],
    "transactions": [{"id": 2, "kind": "refund", "status": "success", "amount": "398.00", "currency": "USD"}],
}
EDITED = {
    "order_edit": {
        "id": 78912328793,
        "order_id": 820982911946154508,
        "committed_at": "2026-03-01T07:00:00-05:00",
        "line_items": {"additions": [{"id": 5, "delta": 1}], "removals": []},
    }
}
DATA_REQUEST = {
    "shop_id": 954889,
    "shop_domain": "shop.myshopify.com",
    "orders_requested": [1],
    "customer": {"id": 115310627314723954, "email": "john@example.com"},
    "data_request": {"id": 9999},
}


def mapped(kind: str, document: dict[str, Any], headers: dict[str, str] | None = None) -> MappedEvent | None:
    mapping = vendors_mapping(kind)
    assert mapping is not None
    added = {"$headers": headers or {}, "$received": "2026-03-01T12:00:00+00:00", "$digest": "d1"}
    return compile_mapping(mapping)({**document, **added})


def event_of(made: MappedEvent | None) -> tuple[str, str] | None:
    return None if made is None else (made.event["type"], made.event["id"])


def shopify(topic: str, document: dict[str, Any], **changed: Any) -> MappedEvent | None:
    headers = {"x-shopify-topic": topic, "x-shopify-shop-domain": "shop.myshopify.com", "x-shopify-webhook-id": "w1"}
    return mapped("shopify", {**document, **changed}, headers)


def woo(**changed: Any) -> MappedEvent | None:
    headers = {"x-wc-webhook-resource": "order", "x-wc-webhook-source": "https://shop.example/"}
    return mapped("woocommerce", {**WOO_ORDER, **changed}, headers)


def bitrix(**changed: Any) -> MappedEvent | None:
    deal = {**BITRIX_DEAL, **changed}
    return mapped("bitrix24", {"deal": deal, "contact": BITRIX_CONTACT})


def data_of(made: MappedEvent | None) -> dict[str, Any]:
    assert made is not None
    return dict(made.event["data"])


@pytest.mark.parametrize(
    ("topic", "changed", "event"),
    [
        ("orders/create", {"fulfillment_status": None}, None),
        ("orders/paid", {"fulfillment_status": None}, None),
        ("orders/partially_fulfilled", {"fulfillment_status": "partial"}, None),
        ("orders/fulfilled", {}, (COMPLETED, f"order-{ORDER}-fulfilled")),
        ("orders/fulfilled", {"financial_status": "partially_refunded"}, (COMPLETED, f"order-{ORDER}-fulfilled")),
        ("orders/fulfilled", {"fulfillment_status": "partial"}, None),
        ("orders/fulfilled", {"test": True}, None),
        ("orders/fulfilled", {"test": False}, (COMPLETED, f"order-{ORDER}-fulfilled")),
        ("orders/fulfilled", CANCELLED_AT, None),
        ("orders/fulfilled", REFUNDED, (CANCELLED, f"order-{ORDER}-refunded")),
        ("orders/fulfilled", {"financial_status": "voided"}, None),
        ("orders/updated", {}, None),
        ("orders/updated", {"financial_status": "paid", "current_total_price": "420.00"}, None),
        ("orders/updated", {"financial_status": "partially_refunded", "current_total_price": "199.00"}, None),
        ("orders/updated", REFUNDED, (CANCELLED, f"order-{ORDER}-refunded")),
        ("orders/updated", CANCELLED_AT, (CANCELLED, f"order-{ORDER}-cancelled")),
        ("orders/updated", {**CANCELLED_AT, **REFUNDED}, (CANCELLED, f"order-{ORDER}-cancelled")),
        ("orders/updated", {"closed_at": None, "fulfillment_status": None}, None),
        ("orders/cancelled", CANCELLED_AT, (CANCELLED, f"order-{ORDER}-cancelled")),
        ("orders/cancelled", {**CANCELLED_AT, "fulfillment_status": None}, (CANCELLED, f"order-{ORDER}-cancelled")),
        ("orders/fulfilled", {"source_name": "pos"}, (COMPLETED, f"order-{ORDER}-fulfilled")),
        ("orders/fulfilled", {"source_name": "pos", "customer": None, "email": ""}, None),
        ("orders/updated", {"source_name": "pos", "customer": None, "email": "", **REFUNDED}, None),
    ],
)
def test_shopify_order_by_topic_and_state(topic: str, changed: dict[str, Any], event: tuple[str, str] | None) -> None:
    assert event_of(shopify(topic, SHOPIFY_ORDER, **changed)) == event


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("refunds/create", REFUND),
        ("orders/edited", EDITED),
        ("orders/delete", {"id": 820982911946154508}),
        ("fulfillments/create", {"id": 1, "order_id": 820982911946154508, "status": "success"}),
        ("customers/data_request", DATA_REQUEST),
        ("shop/redact", {"shop_id": 954889, "shop_domain": "shop.myshopify.com"}),
        ("app/uninstalled", {"id": 1, "domain": "shop.example"}),
    ],
)
def test_shopify_webhook_that_says_nothing_about_a_purchase_is_ignored(topic: str, body: dict[str, Any]) -> None:
    assert shopify(topic, body) is None


@pytest.mark.parametrize("topic", ["customers/redact", "orders/cancelled", "orders/updated", "orders/fulfilled"])
@pytest.mark.parametrize(
    "captured",
    [
        {**SHOPIFY_ORDER, "fulfillment_status": None},
        {**SHOPIFY_ORDER, "fulfillment_status": "partial"},
        SHOPIFY_DELIVERED,
        REFUND,
        DATA_REQUEST,
        {"id": 706405506930370084, "email": "john@example.com", "state": "enabled", "orders_count": 1},
    ],
)
def test_signed_body_replayed_under_another_topic_does_nothing(topic: str, captured: dict[str, Any]) -> None:
    assert shopify(topic, captured) is None


def test_erasure_by_shopify_is_identified_by_its_signed_body() -> None:
    made = shopify("customers/redact", SHOPIFY_REDACT)
    assert event_of(made) == ("crm.customer.erased", "redact-d1")
    assert data_of(made) == {"customer": {"id": CUSTOMER}}
    assert event_of(shopify("customers/redact", SHOPIFY_REDACT, orders_to_redact=[])) is not None
    assert shopify("orders/cancelled", SHOPIFY_REDACT) is None


@pytest.mark.parametrize(
    ("fulfillments", "time"),
    [
        (["2026-02-19T06:00:00-05:00", "2026-03-01T06:00:00-05:00"], "2026-03-01T06:00:00-05:00"),
        (["2026-03-01T06:00:00-05:00", "2026-02-19T06:00:00-05:00"], "2026-03-01T06:00:00-05:00"),
        (["2026-02-19T06:00:00-05:00"], "2026-02-19T06:00:00-05:00"),
        ([], SHOPIFY_ORDER["updated_at"]),
        (None, SHOPIFY_ORDER["updated_at"]),
        (["never"], SHOPIFY_ORDER["updated_at"]),
    ],
)
def test_split_shipment_counts_from_its_last_parcel(fulfillments: list[str] | None, time: str) -> None:
    parcels = None if fulfillments is None else [{"created_at": at, "status": "success"} for at in fulfillments]
    made = shopify("orders/fulfilled", SHOPIFY_ORDER, fulfillments=parcels)
    assert made is not None
    assert made.event["time"] == time


def test_parcel_that_was_cancelled_does_not_count() -> None:
    parcels = [
        {"created_at": "2026-02-19T06:00:00-05:00", "status": "success"},
        {"created_at": "2026-03-01T06:00:00-05:00", "status": "cancelled"},
    ]
    made = shopify("orders/fulfilled", SHOPIFY_ORDER, fulfillments=parcels)
    assert made is not None
    assert made.event["time"] == "2026-02-19T06:00:00-05:00"


def test_shopify_order_has_the_number_people_know_and_the_money_of_the_shop() -> None:
    made = shopify(
        "orders/fulfilled",
        SHOPIFY_ORDER,
        id="5843927359234",
        name="#1030",
        presentment_currency="JPY",
        current_total_price_set={
            "shop_money": {"amount": "398.00", "currency_code": "USD"},
            "presentment_money": {"amount": "60000", "currency_code": "JPY"},
        },
    )
    order = data_of(made)["order"]
    assert (order["id"], order["number"], order["amount"], order["currency"]) == (
        "5843927359234",
        "#1030",
        "398.00",
        "USD",
    )


@pytest.mark.parametrize(
    ("changed", "customer"),
    [
        ({"customer": None}, "jon@example.com"),
        ({"customer": None, "email": " Jon@Example.com"}, "jon@example.com"),
        ({"customer": {}}, "jon@example.com"),
        ({"customer": {"id": "115310627314723954"}}, CUSTOMER),
    ],
)
def test_guest_of_shopify_is_known_by_address(changed: dict[str, Any], customer: str) -> None:
    assert data_of(shopify("orders/fulfilled", SHOPIFY_ORDER, **changed))["customer"]["id"] == customer
    absent = {name: value for name, value in SHOPIFY_ORDER.items() if name != "customer"}
    assert data_of(shopify("orders/fulfilled", absent))["customer"]["id"] == "jon@example.com"


@pytest.mark.parametrize(
    ("changed", "event"),
    [
        ({"status": "pending"}, None),
        ({"status": "processing"}, None),
        ({"status": "on-hold"}, None),
        ({"status": "checkout-draft"}, None),
        ({"status": "completed"}, (COMPLETED, "order-727-completed")),
        ({"date_completed_gmt": "2026-03-05T11:00:00"}, (COMPLETED, "order-727-completed")),
        ({"refunds": [{"id": 729, "reason": "", "total": "-10.00"}]}, (COMPLETED, "order-727-completed")),
        ({"status": "refunded", "refunds": [{"id": 729, "total": "-29.35"}]}, (CANCELLED, "order-727-refunded")),
        ({"status": "cancelled"}, (CANCELLED, "order-727-cancelled-2026-03-01T11:30:00")),
        ({"status": "failed"}, (CANCELLED, "order-727-failed-2026-03-01T11:30:00")),
        ({"status": "trash"}, None),
        ({"billing_period": "month"}, None),
        ({"billing_period": "month", "status": "cancelled"}, None),
    ],
)
def test_woocommerce_order_by_status(changed: dict[str, Any], event: tuple[str, str] | None) -> None:
    assert event_of(woo(**changed)) == event


@pytest.mark.parametrize(
    "body",
    [
        {"id": 727},
        {"id": 99, "status": "publish", "name": "Product", "sku": "x"},
        {"id": 5, "email": "john.doe@example.com", "billing": {"email": "john.doe@example.com"}, "role": "customer"},
        {"action": "woocommerce_order_status_completed", "arg": 727},
    ],
)
def test_signed_body_of_another_resource_of_woocommerce_does_nothing(body: dict[str, Any]) -> None:
    assert mapped("woocommerce", body, {"x-wc-webhook-resource": "order"}) is None


@pytest.mark.parametrize(
    ("changed", "time"),
    [
        ({}, "2026-03-01T11:00:00+00:00"),
        ({"date_completed_gmt": None}, "2026-03-01T11:30:00+00:00"),
        ({"date_completed_gmt": ""}, "2026-03-01T11:30:00+00:00"),
        ({"date_completed_gmt": "0000-00-00T00:00:00"}, "2026-03-01T11:30:00+00:00"),
        ({"date_completed_gmt": "1970-01-01T00:00:00"}, "2026-03-01T11:30:00+00:00"),
        ({"date_completed_gmt": "1970-01-01T00:00:00Z"}, "2026-03-01T11:30:00+00:00"),
    ],
)
def test_time_of_a_woocommerce_order(changed: dict[str, Any], time: str) -> None:
    made = woo(**changed)
    assert made is not None
    assert made.event["time"] == time


@pytest.mark.parametrize(
    ("customer", "id_"),
    [
        (0, "john.doe@example.com"),
        ("0", "john.doe@example.com"),
        (None, "john.doe@example.com"),
        (26, "26"),
        ("26", "26"),
    ],
)
def test_guest_of_woocommerce_is_known_by_address(customer: object, id_: str) -> None:
    assert data_of(woo(customer_id=customer))["customer"]["id"] == id_


@pytest.mark.parametrize("email", ["", None, "  "])
def test_woocommerce_guest_without_address_is_named(email: str | None) -> None:
    billing = {**WOO_ORDER["billing"], "email": email}
    with pytest.raises(Unmappable, match=r"customer\.id: no value at customer_id or billing\.email"):
        woo(billing=billing)
    assert data_of(woo(customer_id=26, billing=billing))["customer"]["id"] == "26"


@pytest.mark.parametrize(("number", "shown"), [("WC-2026-15", "WC-2026-15"), (727, "727"), (None, None)])
def test_woocommerce_order_has_the_number_people_know(number: object, shown: str | None) -> None:
    assert data_of(woo(number=number))["order"].get("number") == shown


@pytest.mark.parametrize(
    ("changed", "store"),
    [
        ({}, "shop.example"),
        ({"_links": {"self": [{"href": "https://Other.example/wp-json/wc/v3/orders/727"}]}}, "other.example"),
    ],
)
def test_store_of_woocommerce_is_a_host_and_no_url(changed: dict[str, Any], store: str) -> None:
    assert data_of(woo(**changed))["touchpoint"]["store"] == store


NOBODY = [None, "", "0", 0, False]


@pytest.mark.parametrize("company", NOBODY)
@pytest.mark.parametrize("contact", NOBODY)
@pytest.mark.parametrize("stage", ["S", "F"])
def test_deal_without_contact_and_company_is_nobodys(contact: object, company: object, stage: str) -> None:
    with pytest.raises(Unmappable, match=r"customer.id: no value at deal.CONTACT_ID or deal.COMPANY_ID"):
        bitrix(CONTACT_ID=contact, COMPANY_ID=company, STAGE_SEMANTIC_ID=stage)


@pytest.mark.parametrize(
    ("changed", "customer"),
    [
        *(({"CONTACT_ID": nobody, "COMPANY_ID": "5"}, "company-5") for nobody in NOBODY),
        *(({"CONTACT_ID": "5", "COMPANY_ID": nobody}, "5") for nobody in NOBODY),
        ({"CONTACT_ID": 5, "COMPANY_ID": 5}, "5"),
        ({"CONTACT_ID": None, "COMPANY_ID": 5}, "company-5"),
    ],
)
@pytest.mark.parametrize("stage", ["S", "F"])
def test_contact_and_company_of_one_number_are_two_customers(
    changed: dict[str, Any], customer: str, stage: str
) -> None:
    assert data_of(bitrix(**changed, STAGE_SEMANTIC_ID=stage))["customer"]["id"] == customer


def test_delivery_waits_for_the_order_and_says_so_by_its_path() -> None:
    made = shopify("fulfillment_events/create", SHOPIFY_DELIVERED)
    assert made is not None
    assert made.customer_of == f"order-{ORDER}-fulfilled"
    assert made.places["customer.id"] == "order_id"
    assert made.places["id"] == "order_id and fulfillment_id"
