"""Kafka topics in a foreign format: mapped, parked with the path that failed, replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.trigger import main
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.domain.sources.source import SOURCE_HEADER, InvalidSource
from shared.clock import ManualClock
from shared.database import db
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.transport import EventLog, Message
from tests.integration.trigger.samples import count, message, purchase

SHOP = """
id: shop-db
kind: kafka
topics: [shop.public.orders]
mapping:
  envelope: debezium
  events:
    - when: {after.status: delivered}
      type: crm.purchase.completed
      id: "orders-{after.id}"
      time: {path: after.at, transform: {time: unix_ms}}
      data:
        customer.id: after.customer_id
        customer.email: after.email
        order.id: after.id
        order.currency: after.currency
"""
AT = 1_772_366_400_000  # noon on 1 March 2026


@pytest.fixture
def settings(tmp_path: Path) -> TriggerSettings:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "erp.yaml").write_text("{id: erp, kind: kafka, topics: [erp.events]}")
    return TriggerSettings(_env_file=None, sources=tmp_path)


def change(id_: int, **after: Any) -> Message:
    row = {"id": id_, "status": "delivered", "at": AT, "customer_id": id_, "email": "a@shop.example", **after}
    body = json.dumps({"schema": {}, "payload": {"op": "u", "after": row}}).encode()
    return Message("shop.public.orders", "\ufffd", body)


@asynccontextmanager
async def consuming(
    settings: TriggerSettings, database: Database, event_log: EventLog, clock: ManualClock
) -> AsyncIterator[None]:
    logs = main.EventLogs(event_log, event_log, event_log)
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for consumer in main.consumers(settings, database, logs, sources=load_sources(settings), clock=clock).values():
            tasks.create_task(consumer.run(stop))
        yield
        stop.set()


async def until_read(event_log: EventLog, *topics: str) -> None:
    while await event_log.lag("earshot-trigger", topics):  # noqa: ASYNC110 - another connection acknowledges
        await asyncio.sleep(0.01)


async def test_foreign_topic_is_mapped_and_what_fails_is_parked_with_its_path(
    settings: TriggerSettings, installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    await event_log.append(
        [
            change(1),
            change(2, status="new"),
            change(3, customer_id=None),
            change(4, currency="euro"),
            Message("shop.public.orders", "tombstone", b""),
            Message("shop.public.orders", "", b"\0\0\0\0\7avro"),
            Message("shop.public.orders", "", b"[]"),
            Message("shop.public.orders", "", b"{"),
            Message("erp.events", "", message(purchase("e1", customer={"id": "9"})).body),
            Message("erp.events", "", b"x", {"content-type": "application/x-protobuf"}),
        ]
    )
    async with consuming(settings, installed, event_log, clock):
        await until_read(event_log, "shop.public.orders", "erp.events")
    async with installed.sessions() as session:
        parked = await parking.list_parked(session)
    assert sorted(row.reason for row in parked) == [
        "body: Avro and Protobuf can only be read as serializers of a schema registry write them",
        "body: Input data was truncated",
        "body: expected an object",
        "body: set EARSHOT_SCHEMA_REGISTRY_URL to read Avro, or send JSON",
        "customer.id: no value at after.customer_id",
    ]
    assert {row.message.topic for row in parked} == {"crm.events"}
    assert {row.message.headers[SOURCE_HEADER] for row in parked} == {"shop-db", "erp"}
    async with installed.sessions() as session:
        decided = await db.fetch(session, "SELECT ignored FROM decisions ORDER BY id")
    assert sorted(str(row["ignored"]) for row in decided) == [
        "None",
        "None",
        "[{'why': 'not a currency code', 'field': 'order.currency'}]",
    ]


async def test_parked_message_is_replayed_by_a_mended_mapping(
    settings: TriggerSettings, installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    await event_log.append([change(4, customer_id="")])
    async with consuming(settings, installed, event_log, clock):
        await until_read(event_log, "shop.public.orders")
    async with installed.sessions() as session:
        (row,) = await parking.list_parked(session)
    assert settings.sources is not None
    (settings.sources / "shop.yaml").write_text(SHOP.replace("after.customer_id", "{const: c4}"))
    gone = Message("crm.events", "", b"{}", {SOURCE_HEADER: "gone"})
    await event_log.append([row.message, gone])
    async with consuming(settings, installed, event_log, clock):
        await until_read(event_log, "crm.events")
    assert await count(installed, "decisions") == 1
    async with installed.sessions() as session:
        assert [one.reason for one in await parking.list_parked(session)][1:] == [
            "earshot-source: this source is not configured any more"
        ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{id: a, kind: kafka}", "topics: required for the kind kafka"),
        ("{id: a, kind: shopify, topics: [x]}", "topics: "),
        ("{id: a, kind: generic, signature: {header: x}}", "mapping: required for the kind generic"),
        ("{id: a, kind: generic}", "signature: "),
        ("{id: a, kind: generic, signature: {header: x, timestamp_header: y}}", "the signature must cover the time"),
        ("{id: a, kind: generic, signature: {header: x, signed: '{timestamp}{body}'}}", "timestamp_header: "),
        ("{id: a, kind: shopify}", "the secret is missing, set EARSHOT_SOURCE_SECRETS=a:"),
        ("{id: crm, kind: bitrix24}", "the REST URL is missing, set EARSHOT_SOURCE_URLS=crm:https://"),
        ("{id: A, kind: kafka, topics: [x]}", "id: "),
        ("id: [", "line 1: "),
    ],
)
def test_wrong_source_is_refused_at_the_start(tmp_path: Path, document: str, problem: str) -> None:
    (tmp_path / "one.yaml").write_text(document)
    settings = TriggerSettings(_env_file=None, sources=tmp_path, source_secrets="crm:secret")
    with pytest.raises(InvalidSource) as raised:
        load_sources(settings)
    assert "one.yaml: " in str(raised.value)
    assert problem in str(raised.value)


def test_two_sources_of_one_name_and_half_a_secret_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml"):
        (tmp_path / name).write_text("{id: same, kind: kafka, topics: [x]}")
    with pytest.raises(InvalidSource, match="another file has the source same"):
        load_sources(TriggerSettings(_env_file=None, sources=tmp_path))
    with pytest.raises(ValidationError, match="source:value pairs"):
        TriggerSettings(_env_file=None, source_secrets="shop")


def test_crm_cluster_may_have_credentials_of_its_own(urls: Mapping[str, str]) -> None:
    own = TriggerSettings(_env_file=None, topic_prefix="p-", kafka_protocol="SSL", database_url=urls["trigger"])
    assert own.for_crm("").kafka_protocol == "SSL"
    theirs = own.model_copy(update={"crm_kafka_protocol": "SASL_SSL", "crm_kafka_username": "crm"}).for_crm("")
    assert (theirs.kafka_protocol, theirs.kafka_username, theirs.topic_prefix) == ("SASL_SSL", "crm", "")
