"""Avro messages of a schema registry, which is a real one here: decided, parked with a reason, or waited for."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs
from typer.testing import CliRunner

from deploy.operations import parked
from deploy.ports import free_ports
from services.trigger import main
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.domain.sources.avro import UndecodableAvro, UnusableSchema, parse_schema, to_json
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.replay_parked import ParkedReplay
from shared.clock import ManualClock
from shared.database import db
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.transport import EventLog, Message
from tests.integration.trigger.samples import NOW, SETTINGS, count
from tests.integration.trigger.test_source_topics import until_read
from tests.schema_registry.apicurio import SchemaRegistryServer, require_schema_registry

pytestmark = pytest.mark.kafka

CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "email", "type": ["null", "string"], "default": None},
        {"name": "consent", "type": ["null", {"type": "map", "values": "boolean"}], "default": None},
    ],
}
EVENT = {
    "type": "record",
    "name": "Purchase",
    "namespace": "shop",
    "fields": [
        *({"name": name, "type": "string"} for name in ("specversion", "id", "source", "type")),
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "data",
            "type": {
                "type": "record",
                "name": "Data",
                "fields": [
                    {"name": "customer", "type": "shop.Customer"},
                    {
                        "name": "order",
                        "type": {
                            "type": "record",
                            "name": "Order",
                            "fields": [
                                {"name": "id", "type": "string"},
                                {
                                    "name": "amount",
                                    "type": [
                                        "null",
                                        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                                    ],
                                },
                            ],
                        },
                    },
                ],
            },
        },
    ],
}
ROW = {
    "type": "record",
    "name": "Envelope",
    "namespace": "shop.public.orders",
    "fields": [
        {"name": "op", "type": "string"},
        {
            "name": "after",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Value",
                    "fields": [
                        {"name": "id", "type": "long"},
                        {"name": "customer_id", "type": "long"},
                        {"name": "email", "type": ["null", "string"]},
                        {"name": "at", "type": "long"},
                    ],
                },
            ],
        },
    ],
}
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
SHOP = """
id: shop-db
kind: kafka
topics: [shop.public.orders]
mapping:
  envelope: debezium
  events:
    - type: crm.purchase.completed
      id: "orders-{after.id}"
      time: {path: after.at, transform: {time: unix_ms}}
      data:
        customer.id: after.customer_id
        customer.email: after.email
        order.id: after.id
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[SchemaRegistryServer]:
    require_schema_registry()
    with SchemaRegistryServer() as server:
        yield server


def written(number: int, datum: Any, *schemas: Any) -> bytes:
    """Return a message as Confluent's serializer writes it, by the last of the schemas."""
    named: dict[str, Any] = {}
    parsed = [fastavro.parse_schema(each, named_schemas=named) for each in schemas][-1]
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, datum)
    return b"\0" + number.to_bytes(4) + out.getvalue()


def purchase(number: int, id_: str, **customer: Any) -> bytes:
    datum = {
        "specversion": "1.0",
        "id": id_,
        "source": "shop",
        "type": "crm.purchase.completed",
        "time": NOW,
        "data": {
            "customer": {"id": id_, "email": f"{id_}@shop.example", "consent": {"email": True}, **customer},
            "order": {"id": f"order-{id_}", "amount": Decimal("19.97")},
        },
    }
    return written(number, datum, CUSTOMER, EVENT)


def register(registry: SchemaRegistryServer) -> int:
    registry.register("customer", CUSTOMER)
    reference = {"name": "shop.Customer", "subject": "customer", "version": 1}
    return registry.register("crm.events-value", EVENT, references=[reference])


@asynccontextmanager
async def consuming(
    url: str, database: Database, event_log: EventLog, clock: ManualClock, **settings: Any
) -> AsyncIterator[list[Any]]:
    """Run trigger's consumers; yields the log lines."""
    configured = TriggerSettings(_env_file=None, schema_registry_url=url, **settings)
    stop = asyncio.Event()
    async with asyncio.timeout(60), AsyncExitStack() as resources:
        logs = main.EventLogs(event_log, event_log, event_log, main.open_registry(configured, resources))
        async with asyncio.TaskGroup() as tasks:
            sources = load_sources(configured)
            for consumer in main.consumers(configured, database, logs, sources=sources, clock=clock).values():
                tasks.create_task(consumer.run(stop))
            with capture_logs() as logged:
                yield logged
            stop.set()


async def parked_reasons(database: Database) -> list[str]:
    async with database.sessions() as session:
        return sorted(row.reason for row in await parking.list_parked(session))


async def test_events_in_avro_are_decided(
    registry: SchemaRegistryServer, installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    number = register(registry)
    await event_log.append([Message("crm.events", "", purchase(number, f"c-{n}")) for n in range(3)])
    async with consuming(registry.url, installed, event_log, clock):
        await until_read(event_log, "crm.events")
    assert await parked_reasons(installed) == []
    assert await count(installed, "decisions") == 3
    async with installed.sessions() as session:
        [row] = await db.fetch(
            session,
            """SELECT own_values->>0 AS amount, r.email FROM touchpoints t
JOIN respondents r ON r.id = t.respondent_id WHERE t.ref = 'order-c-1'""",
        )
    assert tuple(row) == ("19.97", "c-1@shop.example")


async def test_registry_that_answers_is_reported_as_well(registry: SchemaRegistryServer) -> None:
    async with AsyncExitStack() as resources:
        settings = TriggerSettings(_env_file=None, schema_registry_url=registry.url)
        reached = main.open_registry(settings, resources)
        assert reached is not None
        await reached.ping()
        await reached.load({99_999})
        assert list(reached.known) == [99_999]


async def test_change_events_in_avro_are_mapped(
    registry: SchemaRegistryServer, installed: Database, event_log: EventLog, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    number = registry.register("shop.public.orders-value", ROW)
    row = {"id": 7, "customer_id": 8, "email": None, "at": int(NOW.timestamp() * 1000)}
    body = written(number, {"op": "c", "after": row}, ROW)
    await event_log.append([Message("shop.public.orders", "", body, {"content-type": "application/avro"})])
    async with consuming(registry.url, installed, event_log, clock, sources=tmp_path):
        await until_read(event_log, "shop.public.orders")
    assert await parked_reasons(installed) == []
    assert await count(installed, "decisions") == 1


async def test_what_the_registry_or_the_datum_makes_unreadable_is_parked_and_the_rest_is_decided(
    registry: SchemaRegistryServer, installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    number = register(registry)
    nulls = registry.register(
        "nulls",
        {"type": "record", "name": "N", "fields": [{"name": "many", "type": {"type": "array", "items": "null"}}]},
    )
    good = purchase(number, "good")
    framed_json = json.dumps(
        {
            "specversion": "1.0",
            "id": "j",
            "source": "shop",
            "type": "crm.purchase.completed",
            "time": NOW.isoformat(),
            "data": {"customer": {"id": "j"}, "order": {"id": "j"}},
        }
    ).encode()
    by_json_schema = registry.register("json-value", JSON_SCHEMA, kind="JSON")
    bodies = [
        good[:5] + b"\xff" * 40,
        good[:20],
        b"\0\0",
        b"\0" + (99_999).to_bytes(4) + b"x",
        b"\0" + nulls.to_bytes(4) + b"\xfe\xff\xff\xff\x0f",
        b"\0" + by_json_schema.to_bytes(4) + framed_json,
        good,
    ]
    await event_log.append([Message("crm.events", "", body) for body in bodies])
    async with consuming(registry.url, installed, event_log, clock):
        await until_read(event_log, "crm.events")
    reasons = await parked_reasons(installed)
    assert len(reasons) == 5
    assert reasons[0].startswith(f"body: not a datum of schema {number}: ")
    assert reasons[1].startswith(f"body: not a datum of schema {number}: ")
    assert f"body: schema {nulls}: an array of null has no bytes that bound its length" in reasons
    assert "body: schema 99999: the registry does not know it" in reasons
    assert "body: the schema is unknown" in reasons
    assert await count(installed, "decisions") == 2


async def until_waiting(logged: list[Any], reason: str) -> None:
    while {"schema_registry.unavailable", reason} - {str(each) for line in logged for each in line.values()}:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def guarded_registry(*, password: str, port: int = 0) -> AsyncIterator[str]:
    """A registry that wants the user `earshot` with this password; yields its URL."""
    schema = json.loads(json.dumps(EVENT).replace('"shop.Customer"', json.dumps(CUSTOMER)))
    wanted = f"Basic {b64encode(f'earshot:{password}'.encode()).decode()}".encode()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"schema": json.dumps(schema)}).encode() if wanted in head else b"{}"
        status = b"200 OK" if wanted in head else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def credentials(password: str) -> dict[str, Any]:
    return {"schema_registry_username": "earshot", "schema_registry_password": SecretStr(password)}


async def test_messages_wait_for_a_registry_that_is_away(
    installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    (port,) = free_ports(1)
    await event_log.append([Message("crm.events", "", purchase(1, "patient"))])
    url = f"http://127.0.0.1:{port}"
    async with consuming(url, installed, event_log, clock, **credentials("right")) as logged:
        await until_waiting(logged, "no reply")
        assert await event_log.lag("earshot-trigger", ["crm.events"]) == 1
        async with guarded_registry(password="right", port=port):
            await until_read(event_log, "crm.events")
    assert await count(installed, "decisions") == 1
    assert await parked_reasons(installed) == []


async def test_parked_message_is_replayed_once_the_registry_has_its_schema(
    registry: SchemaRegistryServer,
    urls: Mapping[str, str],
    installed: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", urls["trigger"])
    monkeypatch.setenv("EARSHOT_EVENTS_URL", urls["transport"])
    monkeypatch.setenv("EARSHOT_SCHEMA_REGISTRY_URL", registry.url)
    body = purchase(await asyncio.to_thread(register, registry), "late")
    async with installed.sessions.begin() as session:
        await parking.park(session, [(Message("crm.events", "", body, {}, "crm.events/0/1"), "the schema is unknown")])
        [row] = await parking.list_parked(session)
    page = ParkedReplay(EventIntake(installed.sessions, ManualClock(NOW), SETTINGS), {})
    assert "earshot parked replay trigger" in await page.replay(row.id)
    result = await asyncio.to_thread(CliRunner().invoke, parked.app, ["replay", "trigger"])
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "1 handled")
    assert await count(installed, "decisions") == 1


@pytest.mark.parametrize(("password", "decided"), [("right", 1), ("wrong", 0)])
async def test_registry_is_asked_with_credentials_and_wrong_ones_lose_nothing(
    installed: Database, event_log: EventLog, clock: ManualClock, password: str, decided: int
) -> None:
    await event_log.append([Message("crm.events", "", purchase(1, "c-1"))])
    async with (
        guarded_registry(password="right") as url,
        consuming(url, installed, event_log, clock, **credentials(password)) as logged,
    ):
        if decided:
            await until_read(event_log, "crm.events")
        else:
            await until_waiting(logged, "HTTP 401")
    assert await count(installed, "decisions") == decided
    assert await parked_reasons(installed) == []


@given(st.binary(max_size=200))
def test_no_datum_raises_anything_else(datum: bytes) -> None:
    schemas = {7: parse_schema(json.dumps(EVENT), "AVRO", referenced=[json.dumps(CUSTOMER)])}
    with contextlib.suppress(UndecodableAvro):
        json.loads(to_json(b"\0\0\0\0\7" + datum, schemas))


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("{}", "PROTOBUF", "Protobuf is not supported"),
        ("{", "AVRO", "cannot be parsed"),
        ('"shop.Unknown"', "AVRO", "cannot be parsed"),
        ('{"type": "array", "items": {"type": "record", "name": "E", "fields": []}}', "AVRO", "an array of null"),
    ],
)
def test_unusable_schema_says_why(text: str, kind: str, why: str) -> None:
    with pytest.raises(UnusableSchema, match=why):
        parse_schema(text, kind)
