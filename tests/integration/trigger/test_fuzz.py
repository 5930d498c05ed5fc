"""Fuzzing: any input is decided, parked or rejected, with no server error and no blocked partition.

`EARSHOT_TEST_FUZZ` sets how many inputs, of which 49 in 50 come by the log; `make fuzz` tries a running Earshot.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from services.trigger import main
from services.trigger.config import TriggerSettings
from services.trigger.domain.sources.mapping import compile_mapping
from services.trigger.domain.sources.source import SOURCE_HEADER, Source, SourceKind, read_mapping
from services.trigger.handlers.mapped_events import read_message
from services.trigger.repository.parked import respondents_of
from shared.clock import ManualClock
from shared.contract.cloudevents import Event
from shared.contract.events import BY_TYPE, CrmPayload, CustomerErased
from shared.database import db
from shared.database.db import Database
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import EventLog, Message
from tests.integration.trigger.samples import NOW, SETTINGS, body, purchase
from tests.unit.trigger.test_mappings import ORDERS, ROW

INPUTS = int(os.environ.get("EARSHOT_TEST_FUZZ", "5000"))
AT_ONCE = 100
SHOP = Source("shop", SourceKind.KAFKA, read=compile_mapping(read_mapping(ORDERS.encode())))
SOURCES = {"shop": SHOP}

STRANGE: tuple[Any, ...] = (
    "\0",
    "\ud800",
    "x" * 21_000,
    10**400,
    -(2**63),
    1e308,
    "2026-13-01",
    "9999-12-31T23:59:59Z",
    float("nan"),
    [],
    {},
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["\0", "\ud800", "x" * 21_000, 10**400, -(2**63), 1e308, "2026-13-01", "9999-12-31T23:59:59Z", "👩‍🦰"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WELL_FORMED: Sequence[dict[str, Any]] = [
    purchase("e", touchpoint={"store": "s"}, attributes={"a": 1}),
    body("service.completed", "e", service={"id": "1"}),
    body("service.reopened", "e", service={"id": "1"}),
    body("purchase.cancelled", "e", order={"id": "1"}),
    body("order.delivered", "e", order={"id": "1"}),
    body("customer.updated", "e", customer={"id": "c", "phone": "+79261234567", "consent": {"sms": True}}),
    body("customer.erased", "e"),
]
CHANGE = {"op": "u", "before": None, "after": ROW}


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document."""
    yield path
    if isinstance(document, dict):
        for name, inner in document.items():
            yield from places(inner, (*path, name))


def mutated(document: dict[str, Any], chance: random.Random, pool: Sequence[Any]) -> Any:
    """Replace a random value of a document by one of a pool, or remove it."""
    copy = json.loads(json.dumps(document))
    path = chance.choice(list(places(copy)))
    if not path:
        return chance.choice(pool)
    place = copy
    for name in path[:-1]:
        place = place[name]
    if chance.random() < 0.7:
        place[path[-1]] = chance.choice(pool)
    else:
        del place[path[-1]]
    return copy


def damaged(text: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(text) + 1)
    ways = [text[:place], text[:place] + b"\xff" + text[place:], b"\0" + text, text + b"}", chance.randbytes(20), b""]
    return chance.choice(ways) if chance.random() < 0.3 else text


NAMES = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", SOURCE_HEADER)
TEXTS = ("1.0", "1", "", "\0", "\ufffd", "crm.purchase.completed", "application/json", "avro/binary", NOW.isoformat())


def some_messages(chance: random.Random, pool: Sequence[Any]) -> Iterator[Message]:
    for _ in range(AT_ONCE):
        document = mutated(chance.choice([*WELL_FORMED, CHANGE]), chance, pool)
        about = {name: chance.choice(TEXTS) for name in NAMES if chance.random() < 0.4} if chance.random() < 0.2 else {}
        if chance.random() < 0.3:
            about = {SOURCE_HEADER: "shop"}
        content = damaged(json.dumps(document).encode(), chance)
        yield Message("crm.events", chance.choice(TEXTS), content, about, f"crm.events/0/{next(positions)}")


fuzzed = settings(
    deadline=None,
    database=None,
    derandomize=INPUTS == 5000,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
positions = itertools.count()


@pytest.fixture
def crm(installed: Database, event_log: EventLog, clock: ManualClock) -> Any:
    logs = main.EventLogs(event_log, event_log, event_log)
    return main.consumers(TriggerSettings(_env_file=None), installed, logs, sources=SOURCES, clock=clock)["crm"]


def outcome(message: Message) -> Event[CrmPayload] | Literal["ignored"] | None:
    """Return the expected outcome of a message: decided, ignored, or parked."""
    try:
        return read_message(message, SOURCES, received=NOW) or "ignored"
    except InvalidEvent:
        return None


@settings(fuzzed, max_examples=INPUTS * 49 // 50 // AT_ONCE)
@given(seed=st.integers(0, 2**32), pool=st.lists(anything, min_size=4, max_size=10))
async def test_any_message_of_the_log_is_decided_or_parked(
    crm: Any, installed: Database, seed: int, pool: list[Any]
) -> None:
    batch = list(some_messages(random.Random(seed), [*pool, *STRANGE]))
    assert await crm.handle(batch, asyncio.Event())
    became = [outcome(message) for message in batch]
    refused = {message.position: message for message, one in zip(batch, became, strict=True) if one is None}
    erased = {one.payload.key for one in became if isinstance(one, Event) and isinstance(one.payload, CustomerErased)}
    async with installed.sessions() as session:
        rows = await db.fetch(
            session,
            "SELECT position, reason FROM parked WHERE position = ANY($1::text[])",
            [message.position for message in batch],
        )
    parked = {row["position"] for row in rows}
    assert parked <= refused.keys()
    gone = [message for position, message in refused.items() if position not in parked]
    keys = SETTINGS.address_keys
    assert all(respondents_of(message.body, message.headers, keys) & erased for message in gone), "only an erasure does"
    assert not [row["reason"] for row in rows if row["reason"].startswith("the handler failed")]


def test_every_kind_of_event_is_among_what_is_fuzzed() -> None:
    kinds = {type_ for type_, model in BY_TYPE.items() if issubclass(model, CrmPayload)}
    assert {one["type"] for one in WELL_FORMED} == kinds


@settings(fuzzed, max_examples=INPUTS // 50)
@given(data=st.data())
async def test_no_request_causes_a_server_error(client: httpx2.AsyncClient, data: st.DataObject) -> None:
    if not OPERATIONS:
        document = (await client.get("/openapi.json")).json()
        schema = schemathesis.openapi.from_dict(document)
        OPERATIONS.extend(found.ok() for found in schema.get_all_operations() if isinstance(found, Ok))
    operation = data.draw(st.sampled_from(OPERATIONS))
    case = data.draw(operation.as_strategy())
    request = case.as_transport_kwargs(base_url="http://127.0.0.1:8001")
    request.pop("cookies", None)
    if isinstance(request.get("data"), str | bytes):
        request["content"] = request.pop("data")
    answer = await client.request(**request)
    assert answer.status_code < 500, (operation.label, answer.text)


OPERATIONS: list[Any] = []
