"""What was left out of an event is named in the reply, in the stored decision and in a counter, through every door."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.trigger import main
from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.sources.mapping import compile_mapping
from services.trigger.domain.sources.source import Source, SourceKind, read_mapping
from services.trigger.files.ingest import FileIngest, IngestMode
from services.trigger.handlers.intake import EventIntake
from services.trigger.sources.webhooks import SourceWebhooks, WebhookResult
from shared import metrics
from shared.clock import ManualClock
from shared.database import db
from shared.database.db import Database
from shared.messaging.transport import EventLog, Message
from tests.integration.trigger.samples import CUSTOMER, NOW, SETTINGS, body, decide, purchase

BROKEN: dict[str, Any] = {"touchpoint": {"store": ["Riverside"]}, "attributes": {"n": [1]}}
NAMED = ["attributes.n", "touchpoint.store"]
MAPPING = b"""
events:
  - when: {}
    type: crm.purchase.completed
    id: id
    time: at
    data: {customer.id: who, customer.name: name, order.id: id, touchpoint.store: store}
"""


def fields(ignored: list[dict[str, str]]) -> list[str]:
    assert all(each["why"] for each in ignored)
    return sorted(each["field"] for each in ignored)


async def stored(database: Database) -> list[list[str]]:
    async with database.sessions() as session:
        rows = await db.fetch(session, "SELECT ignored FROM decisions ORDER BY id")
    return [fields(row["ignored"] or []) for row in rows]


async def post(client: httpx2.AsyncClient, event: Any, **options: Any) -> dict[str, Any]:
    answer = await client.post("/v1/events", json=event, **options)
    assert answer.status_code == 202, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


async def test_reply_decision_and_counter_name_what_was_left_out(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    labels = ("trigger", "crm.purchase.completed", "touchpoint.store")
    before = metrics.IGNORED_FIELDS.labels(*labels)._value.get()
    first = await post(client, purchase("e1", **BROKEN))
    again = await post(client, purchase("e1", **BROKEN))
    assert (first["reason"], fields(first["ignored"])) == ("asked", NAMED)
    assert again == first
    assert await stored(installed) == [NAMED]
    assert metrics.IGNORED_FIELDS.labels(*labels)._value.get() == before + 1
    (shown,) = (await client.get("/v1/decisions", params={"event": "e1"})).json()["decisions"]
    assert fields(shown["ignored"]) == NAMED
    page = (await client.get("/decisions", params={"event": "e1"})).text
    assert "touchpoint.store" in page


async def test_each_event_of_a_batch_names_what_was_left_out_of_it(client: httpx2.AsyncClient) -> None:
    events = [purchase("e1"), purchase("e2", **BROKEN), {**purchase("e3"), "data": {}}]
    first, second, third = (await post(client, events))["results"]
    assert (first["ignored"], fields(second["ignored"])) == ([], NAMED)
    assert third["status"] == 422


async def test_structured_event_with_data_in_base64_is_decided(client: httpx2.AsyncClient) -> None:
    event = purchase("e1")
    event["data_base64"] = base64.b64encode(json.dumps(event.pop("data")).encode()).decode()
    assert (await post(client, event))["reason"] == "asked"


@pytest.mark.parametrize(
    ("ahead", "named"),
    [(timedelta(seconds=5), []), (timedelta(hours=2), ["time"]), (timedelta(hours=24), ["time"])],
)
async def test_event_ahead_of_the_clock_counts_as_now_and_is_named(
    client: httpx2.AsyncClient, ahead: timedelta, named: list[str]
) -> None:
    reply = await post(client, purchase("e1", at=NOW + ahead))
    assert (reply["reason"], fields(reply["ignored"])) == ("asked", named)


async def test_event_more_than_a_day_ahead_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/events", json=purchase("e1", at=NOW + timedelta(days=1, seconds=1)))
    assert answer.status_code == 422


async def test_event_from_the_log_is_decided_without_what_was_left_out(
    installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    logs = main.EventLogs(event_log, event_log, event_log)
    consumer = main.consumers(TriggerSettings(_env_file=None), installed, logs, sources={}, clock=clock)["crm"]
    raw = json.dumps(purchase("e1", **BROKEN)).replace('"Ann"', "NaN").encode()
    assert await consumer.handle([Message("crm.events", "", raw)], asyncio.Event())
    assert await stored(installed) == [[*NAMED[:1], "customer.name", *NAMED[1:]]]


@pytest.mark.parametrize("mode", list(IngestMode))
async def test_line_of_a_file_is_decided_without_what_was_left_out(
    installed: Database, clock: ManualClock, tmp_path: Path, mode: IngestMode
) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_text(json.dumps(purchase("e1", **BROKEN)) + "\n" + json.dumps(purchase("e2")))
    intake = EventIntake(installed.sessions, clock, SETTINGS)
    report = await FileIngest(intake, path, mode, Source("s", SourceKind.GENERIC)).run()
    assert (report.refused, report.ignored_fields.total()) == (0, 2)
    assert await stored(installed) == [NAMED, []]


async def test_backfilled_event_with_as_many_attributes_as_allowed_stays_readable(
    installed: Database, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_text(json.dumps(purchase("e1", attributes={str(n): n for n in range(150)})))
    intake = EventIntake(installed.sessions, clock, SETTINGS)
    report = await FileIngest(intake, path, IngestMode.BACKFILL, Source("s", SourceKind.GENERIC)).run()
    assert dict(report.reasons) == {"historic": 1}


@pytest.mark.parametrize("broken", [b"NaN", b'"\\ud800"', b'{"en": "Ann"}', b'"\xff"', b'"\\u0000"'])
async def test_webhook_is_decided_without_what_was_left_out(
    installed: Database, clock: ManualClock, broken: bytes
) -> None:
    source = Source("erp", SourceKind.GENERIC, read=compile_mapping(read_mapping(MAPPING)))
    hooks = SourceWebhooks(EventIntake(installed.sessions, clock, SETTINGS), {"erp": source})
    raw = json.dumps({"id": "1", "who": "c1", "at": NOW.isoformat(), "name": "?", "store": "S"}).encode()
    assert await hooks.decide(source, raw.replace(b'"?"', broken), {}) is WebhookResult.DECIDED
    assert await stored(installed) in ([["customer.name"]], [[]])


async def test_first_usable_address_is_used_and_the_rest_named(installed: Database) -> None:
    customer = {"id": "c1", "email": "olga@example.com; buh@example.com", "phone": "+7 999 123-45-67, +7 495 765-43-21"}
    (verdict,) = await decide(installed, [purchase("e1", customer=customer)])
    assert isinstance(verdict, StoredDecision)
    assert (verdict.reason, fields(list(map(dict, verdict.ignored or ())))) == (
        "asked",
        ["customer.email", "customer.phone"],
    )
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT email, phone FROM respondents")
    assert tuple(row) == ("olga@example.com", "+79991234567")
    assert "example" not in str((verdict.ignored, verdict.trail))


async def test_null_of_a_purchase_keeps_what_is_known(installed: Database) -> None:
    await decide(installed, [body("customer.updated", "e1", customer={**CUSTOMER, "attributes": {"tier": "gold"}})])
    nulls = {"id": "c1", "name": None, "email": None, "attributes": {"tier": None}}
    await decide(installed, [purchase("e2", customer=nulls)])
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT name, email, attributes FROM respondents")
    assert tuple(row) == ("Ann", "ann@shop.example", {"tier": "gold"})
