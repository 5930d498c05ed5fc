"""Inputs of every door: routes of the APIs, pages and their forms, links, webhooks, events, the log, mails, files."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from services.dispatcher.domain.receipts import Reference
from tests.corpora import STRANGE, changed, damaged, written
from tests.fuzz.requests import HttpInput, form
from tests.integration.dispatcher.webhooks import callbacks
from tests.integration.trigger import vendors
from tests.integration.trigger.samples import body, purchase

SECRET = "new"
SAMPLES: Sequence[Mapping[str, Any]] = (
    purchase("e", touchpoint={"store": "s"}, attributes={"a": 1}),
    body("service.completed", "e", service={"id": "1"}),
    body("service.reopened", "e", service={"id": "1"}),
    body("purchase.cancelled", "e", order={"id": "1"}),
    body("order.delivered", "e", order={"id": "1"}),
    body("customer.updated", "e", customer={"id": "c", "phone": "+79261234567", "consent": {"sms": True}}),
)
PAGES = (
    *(
        "/",
        "/desk",
        "/suspects",
        "/comments",
        "/tags",
        "/stores",
        "/stores/edit",
        "/stores/import",
        "/stores/export",
        "/decisions",
        "/mailbox",
        "/invitations",
        "/mail",
        "/mail/html",
        "/suppressions",
        "/statistics",
    ),
    *(
        "/docs",
        "/openapi.json",
        "/metrics",
        "/healthz",
        "/livez",
        "/readyz",
        "/static/earshot.css",
        "/logos/x.svg",
        "/live",
        "/nowhere",
    ),
    *(
        "/static-offline-docs/swagger-ui.css",
        "/desk/{}",
        "/mailbox/{}",
        "/mailbox/{}/html",
        "/invitations/{}",
        "/s/service",
    ),
)
FORMS: Mapping[str, Sequence[str]] = {
    "/desk/take": ("operator", "task_id"),
    "/desk/{}/answer": ("score", "comment", "reasons.other", "reasons.promoter"),
    "/desk/{}/outcome": ("disposition", "minutes", "at"),
    "/suspects/{}/confirm": (),
    "/suspects/{}/doubt": ("replaces",),
    "/annotations": ("program", "day", "text", "back"),
    "/annotations/{}/remove": ("back",),
    "/target": ("program", "nps", "back", "replaces"),
    "/benchmarks": ("name", "nps", "source", "back", "replaces"),
    "/benchmarks/remove": ("name", "back", "replaces"),
    "/mail": ("brand", "locale", "template", "repeat", "address"),
    "/suppressions/{}/release": (),
    "/suppressions/restore": ("sealed",),
    "/replies/{}/read": (),
    "/replies/{}/unread": (),
    "/stores/edit": ("code", "name", "spellings", "time_zone", "hours", "review_links", "closed_since", "version"),
    "/stores/delete": ("code", "version"),
    "/stores/spelling": ("value", "store"),
    "/stores/import": ("kept", "store"),
}
PARAMETERS = (
    *(
        "program",
        "from",
        "to",
        "by",
        "period",
        "segment",
        "after",
        "limit",
        "customer",
        "event",
        "outcome",
        "score",
        "said",
        "task",
    ),
    *(
        "address",
        "locale",
        "brand",
        "template",
        "repeat",
        "status",
        "against",
        "margin",
        "days",
        "try",
        "done",
        "saved",
        "noted",
        "dry_run",
    ),
)
PLAIN = (
    "",
    "1",
    "0",
    "10",
    "-1",
    "en",
    "ru",
    "2026-03-01",
    "purchase",
    "day",
    "store",
    "e@shop.example",
    "busy",
    "call_later",
    "/?by=store",
    "9999-12-31",
)


@dataclass(slots=True)
class Doors:
    """Makes inputs from a seed. Every tenth input with an effect is good: `expected` has what must be stored for it."""

    chance: random.Random
    links: Sequence[str]  # paths of answer pages, of their stops, and of unsubscribing
    ids: Sequence[str]
    operations: Sequence[tuple[str, str, Mapping[str, Any]]]  # of the OpenAPI document: method, path, description
    schemas: Mapping[str, Any]
    good_events: list[str] = field(default_factory=list)
    good_receipts: list[Reference] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=itertools.count)

    def http(self) -> HttpInput:
        makers = (self.api, self.page, self.page_form, self.link, self.event, self.callback, self.webhook)
        return self.chance.choice(makers)()

    def api(self) -> HttpInput:
        method, path, operation = self.chance.choice(self.operations)
        names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        query = [f"{name}={self._text()}" for name in names if self.chance.random() < 0.4]
        target = self._filled(path) + ("?" + "&".join(query) if query else "")
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return HttpInput("api", method, target)
        kind = self.chance.choice(list(content))
        sample = content[kind].get("example") or self._sample(content[kind].get("schema", {}))
        document = changed(sample, self.chance) if self.chance.random() < 0.8 else sample
        return HttpInput("api", method, target, (("content-type", kind),), written(document, self.chance))

    def page(self) -> HttpInput:
        query = "&".join(
            f"{self.chance.choice(PARAMETERS)}={self._text()}" for _ in range(self.chance.choice((0, 1, 1, 2)))
        )
        path = self._filled(self.chance.choice(PAGES))
        return HttpInput("pages", self.chance.choice(("GET", "GET", "HEAD")), f"{path}?{query}" if query else path)

    def page_form(self) -> HttpInput:
        path = self.chance.choice(list(FORMS))
        return self._form("forms", self._filled(path), FORMS[path])

    def link(self) -> HttpInput:
        path = (
            self.chance.choice(self.links)
            if self.chance.random() < 0.8
            else self.chance.choice(("/s/x.1", "/u/x", "/s/%ff.9"))
        )
        if self.chance.random() < 0.4:
            query = self.chance.choice(
                ("", "?score=9", f"?score={self._text()}", f"?try={self._text()}", "?done=1", f"?utm={self._text()}")
            )
            return HttpInput("links", "GET", path + query)
        return self._form("links", path, ("score", "comment", "callback", "phone", "what", "sure", "trap", "shown"))

    def event(self) -> HttpInput:
        number = next(self._number)
        if number % 10 == 0:
            return HttpInput("events", "POST", "/v1/events", (("content-type", "application/json"),), self.good_event())
        document = changed(dict(self.chance.choice(SAMPLES), id=f"bad-{number}"), self.chance)
        form_of = self.chance.randrange(3)
        if form_of == 0:
            document = [document, *self.chance.choices(SAMPLES, k=2)]
        kind = "application/cloudevents-batch+json" if form_of == 0 else "application/cloudevents+json"
        if form_of == 2 and isinstance(document, dict):
            head = tuple(
                (f"ce-{name}", _header(document.get(name))) for name in ("specversion", "id", "source", "type", "time")
            )
            return HttpInput(
                "events",
                "POST",
                "/v1/events",
                (*head, ("content-type", "application/json")),
                written(document.get("data"), self.chance),
            )
        return HttpInput("events", "POST", "/v1/events", (("content-type", kind),), written(document, self.chance))

    def callback(self) -> HttpInput:
        number = next(self._number)
        reference = Reference(UUID(int=number), number % 100)
        if number % 10 == 0:
            maker = self.chance.choice((callbacks.of_twilio, callbacks.of_gateway, callbacks.of_postmark_))
            made = maker(str(reference), None)
            self.good_receipts.append(reference)
        else:
            made = callbacks.broken(str(reference), self.chance)
        return HttpInput("hooks", "POST", made.path.replace(" ", "%20"), tuple(made.headers.items()), made.body)

    def webhook(self) -> HttpInput:
        order = changed(vendors.SHOPIFY_ORDER, self.chance)
        match self.chance.randrange(4):
            case 0:
                content, headers = vendors.woo(changed(vendors.WOO_ORDER, self.chance), secret=SECRET)
                return HttpInput("source hooks", "POST", "/v1/hooks/my-woocommerce", tuple(headers.items()), content)
            case 1:
                topic = self.chance.choice(
                    ("orders/fulfilled", "customers/redact", "fulfillment_events/create", "orders/cancelled", "x")
                )
                content, headers = vendors.shopify(topic, order, secret=SECRET)
                return HttpInput("source hooks", "POST", "/v1/hooks/my-shopify", tuple(headers.items()), content)
            case 2:
                content = vendors.bitrix(
                    str(self.chance.choice(STRANGE))[:50].encode(errors="replace").decode(), token=SECRET
                )
                return HttpInput(
                    "source hooks",
                    "POST",
                    "/v1/hooks/my-bitrix24",
                    (("content-type", callbacks.FORM["content-type"]),),
                    content,
                )
        content = damaged(json.dumps(order).encode(), self.chance)
        source = self.chance.choice(("my-shopify", "my-woocommerce", "my-bitrix24", "nobody"))
        signed = (("x-shopify-topic", "orders/fulfilled"), ("x-shopify-hmac-sha256", vendors.signed(content, SECRET)))
        return HttpInput("source hooks", "POST", f"/v1/hooks/{source}", signed, content)

    def good_event(self) -> bytes:
        """Make an event that must be decided."""
        number = next(self._number)
        self.good_events.append(f"good-{number}")
        customer = {"id": f"good-{number}", "email": f"good-{number}@shop.example"}
        return json.dumps(purchase(f"good-{number}", at=datetime.now(UTC), customer=customer)).encode()

    def logged(self) -> tuple[bytes, Mapping[str, str]]:
        """Make a message of the log: body and headers."""
        if next(self._number) % 10 == 0:
            return self.good_event(), {}
        document = changed(dict(self.chance.choice(SAMPLES), id=f"log-{next(self._number)}"), self.chance)
        names = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "earshot-source")
        texts = (
            "1.0",
            "",
            "\ufffd",
            "crm.purchase.completed",
            "application/json; charset=punycode",
            "avro/binary",
            "shop",
        )
        headers = {name: self.chance.choice(texts) for name in names if self.chance.random() < 0.1}
        return written(document, self.chance), headers

    def line(self) -> bytes:
        """Make a line of a file of events."""
        if next(self._number) % 10 == 0:
            return self.good_event()
        document = changed(dict(self.chance.choice(SAMPLES), id=f"file-{next(self._number)}"), self.chance)
        return written(document, self.chance).replace(b"\n", b" ").replace(b"\r", b" ")

    def _form(self, door: str, path: str, names: Sequence[str]) -> HttpInput:
        kind, content = form([(name, self._plain()) for name in names if self.chance.random() < 0.7], self.chance)
        if self.chance.random() < 0.1:
            content = damaged(content, self.chance)
        return HttpInput(door, "POST", path, (("content-type", kind),), content)

    def _filled(self, path: str) -> str:
        while "{" in path:
            before, _, rest = path.partition("{")
            path = (
                before
                + self.chance.choice((*self.ids, str(uuid4()), self._text(), "x" * 300, "%ff"))
                + rest.partition("}")[2]
            )
        return path

    def _plain(self) -> str:
        return self.chance.choice(PLAIN) if self.chance.random() < 0.6 else str(self.chance.choice(STRANGE))

    def _text(self) -> str:
        text = self._plain()[:2000]
        return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))

    def _sample(self, schema: Mapping[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911 - one for each kind of schema
        """Make a value of a JSON Schema, roughly."""
        if reference := schema.get("$ref"):
            return self._sample(self.schemas.get(reference.rpartition("/")[2], {}), depth + 1)
        if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self._sample(choices[0], depth + 1)
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [""])[0])
        if depth > 8:
            return None
        if "properties" in schema:
            return {name: self._sample(each, depth + 1) for name, each in schema["properties"].items()}
        if "items" in schema:
            return [self._sample(schema["items"], depth + 1)]
        plain = {"integer": schema.get("minimum", 1), "number": 1.5, "boolean": True, "object": {}, "array": []}
        formats = {"uuid": str(uuid4()), "date": "2026-03-01", "date-time": "2026-03-01T12:00:00Z"}
        return plain.get(schema.get("type", ""), formats.get(schema.get("format", ""), "x"))


def _header(value: Any) -> str:
    return str(value).replace("\r", " ").replace("\n", " ").replace("\0", " ")[:1000].encode(errors="replace").decode()
