"""Sample webhooks from the vendors' documentation, shortened, and a fake Bitrix24."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.fakes import _Server

SHOPIFY_ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
    "cancel_reason": None,
    "cancelled_at": None,
    "currency": "USD",
    "current_total_price": "398.00",
    "customer_locale": "en",
    "email": "jon@example.com",
    "fulfillment_status": "fulfilled",
    "name": "#9999",
    "phone": None,
    "source_name": "web",
    "updated_at": "2026-03-01T06:10:00-05:00",
    "customer": {
        "id": 115310627314723954,
        "email": "john@example.com",
        "first_name": "John",
        "last_name": "Smith",
        "phone": "+16135550127",
        "email_marketing_consent": {"state": "not_subscribed", "opt_in_level": None, "consent_updated_at": None},
        "sms_marketing_consent": {"state": "subscribed", "opt_in_level": "single_opt_in"},
    },
    "fulfillments": [{"id": 1, "created_at": "2026-03-01T06:00:00-05:00", "status": "success"}],
    "line_items": [
        {"id": 866550311766439020, "product_id": 788032119674292922, "title": "IPod", "quantity": 1, "price": "199.00"}
    ],
    "shipping_address": {"first_name": "Steve", "country_code": "US", "phone": "555-555-SHIP"},
}
SHOPIFY_DELIVERED: dict[str, Any] = {
    "id": 1,
    "fulfillment_id": 123456,
    "status": "delivered",
    "happened_at": "2026-03-01T06:30:00-05:00",
    "order_id": 820982911946154508,
    "shop_id": 548380009,
}
SHOPIFY_REDACT: dict[str, Any] = {
    "shop_id": 954889,
    "shop_domain": "shop.myshopify.com",
    "customer": {"id": 115310627314723954, "email": "john@example.com", "phone": "+16135550127"},
    "orders_to_redact": [820982911946154508],
}
WOO_ORDER: dict[str, Any] = {
    "id": 727,
    "status": "completed",
    "currency": "USD",
    "total": "29.35",
    "customer_id": 0,
    "date_modified_gmt": "2026-03-01T11:30:00",
    "date_completed_gmt": "2026-03-01T11:00:00",
    "billing": {
        "first_name": "John",
        "last_name": "Doe",
        "country": "US",
        "email": "John.Doe@example.com",
        "phone": "",
    },
    "shipping": {"country": ""},
    "line_items": [{"id": 315, "product_id": 93, "name": "Woo Single #1", "quantity": 2, "total": "6.00"}],
}
BITRIX_DEAL = {
    "ID": "410",
    "STAGE_ID": "WON",
    "STAGE_SEMANTIC_ID": "S",
    "CURRENCY_ID": "EUR",
    "OPPORTUNITY": "1000000.00",
    "CONTACT_ID": "84",
    "COMPANY_ID": "9",
    "ASSIGNED_BY_ID": "1",
    "DATE_MODIFY": "2026-03-01T14:29:00+03:00",
    "MOVED_TIME": "2026-03-01T14:28:00+03:00",
}
BITRIX_CONTACT = {
    "ID": "84",
    "NAME": "Anna",
    "LAST_NAME": "Petrova",
    "EMAIL": [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": "anna@example.com", "TYPE_ID": "EMAIL"}],
    "PHONE": [{"ID": "2", "VALUE_TYPE": "MOBILE", "VALUE": "+79261234567", "TYPE_ID": "PHONE"}],
}


def shopify(topic: str, document: dict[str, Any], *, secret: str) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(document).encode()
    headers = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signed(body, secret),
        "X-Shopify-Shop-Domain": "shop.myshopify.com",
        "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "X-Shopify-Triggered-At": "2026-03-01T11:59:00.000000000Z",
    }
    return body, headers


def woo(document: dict[str, Any], *, secret: str) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(document).encode()
    headers = {
        "X-WC-Webhook-Topic": "order.updated",
        "X-WC-Webhook-Resource": "order",
        "X-WC-Webhook-Event": "updated",
        "X-WC-Webhook-Source": "https://shop.example/",
        "X-WC-Webhook-Signature": signed(body, secret),
        "X-WC-Webhook-Delivery-ID": "36e520ebabc2fa725092ff4a47acedf2",
    }
    return body, headers


def bitrix(deal: str, *, token: str, event: str = "ONCRMDEALUPDATE") -> bytes:
    form = {
        "event": event,
        "event_handler_id": "655",
        "data[FIELDS][ID]": deal,
        "ts": "1736424182",
        "auth[domain]": "some-domain.bitrix24.com",
        "auth[member_id]": "a223c6b3710f85df22e9377d6c4f7553",
        "auth[application_token]": token,
    }
    return urlencode(form).encode()


def signed(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@dataclass
class Bitrix24:
    """A fake of the REST methods; the first `failures` calls fail, and `replies` has other replies by method."""

    url: str = ""
    deal: dict[str, Any] = field(default_factory=lambda: dict(BITRIX_DEAL))
    asked: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0
    replies: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    async def call(self, request: Request) -> JSONResponse:
        method = request.path_params["method"]
        form = dict(parse_qsl((await request.body()).decode()))
        self.asked.append((method, form["id"]))
        if self.failures:
            self.failures -= 1
            return JSONResponse({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, 503)
        if method in self.replies:
            status, reply = self.replies[method]
            return JSONResponse(reply, status)
        return JSONResponse({"result": self.deal if method == "crm.deal.get.json" else BITRIX_CONTACT})


@contextlib.asynccontextmanager
async def bitrix24() -> AsyncIterator[Bitrix24]:
    fake = Bitrix24()
    app = Starlette(routes=[Route("/rest/1/code/{method}", fake.call, methods=["POST"])])
    server = _Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.01)
    fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/rest/1/code/"
    try:
        yield fake
    finally:
        server.should_exit = True
        await serving
