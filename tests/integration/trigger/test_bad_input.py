"""An event, deal or line that cannot be handled is rejected, parked or tried again later; the others are decided."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.trigger import main
from services.trigger.config import TriggerSettings
from services.trigger.domain.sources.mapping import MappedEvent, compile_mapping
from services.trigger.domain.sources.source import Source, SourceKind, read_mapping
from services.trigger.files.ingest import FileIngest, IngestMode
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.mapped_events import from_source
from services.trigger.repository import deal_fetches
from services.trigger.sources.bitrix24 import DealFetcher
from services.trigger.sources.webhooks import SourceWebhooks, WebhookResult
from shared.clock import ManualClock
from shared.database import db
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.transport import EventLog, Message
from tests import corpora
from tests.integration.trigger.samples import SETTINGS, purchase
from tests.integration.trigger.vendors import BITRIX_CONTACT, BITRIX_DEAL, SHOPIFY_ORDER, WOO_ORDER

MAPPINGS = Path(main.__file__).parent / "mappings"
DEALS = Source(
    "crm", SourceKind.BITRIX24, read=compile_mapping(read_mapping((MAPPINGS / "bitrix24.yaml").read_bytes()))
)
Make = Callable[[int, random.Random], tuple[Any, dict[str, str]]]

POISON = """CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.event_id LIKE '%poison%' THEN RAISE EXCEPTION 'poison' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$;
"""


@pytest.fixture
async def poisoned(installed: Database) -> Database:
    """A database that rejects events with `poison` in their id."""
    async with installed.sessions.begin() as session:
        await db.fetch(session, POISON)
        sql = "CREATE TRIGGER poison BEFORE INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION poison()"
        await db.fetch(session, sql)
    return installed


@pytest.fixture
def intake(poisoned: Database, clock: ManualClock) -> EventIntake:
    return EventIntake(poisoned.sessions, clock, SETTINGS)


async def decided(database: Database) -> list[str]:
    async with database.sessions() as session:
        return [row["event_id"] for row in await db.fetch(session, "SELECT event_id FROM decisions ORDER BY id")]


async def parked(database: Database) -> list[str]:
    async with database.sessions() as session:
        return [row.reason for row in await parking.list_parked(session)]


async def test_event_of_a_batch_that_cannot_be_handled_is_answered_alone(
    poisoned: Database, client: httpx2.AsyncClient
) -> None:
    events = [purchase(id_) for id_ in ("e1", "poison", "e2", "e3")]
    answer = await client.post("/v1/events", json=events)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [(each.get("reason"), each.get("status")) for each in results] == [
        ("asked", None),
        (None, 500),
        ("quarantined", None),
        ("quarantined", None),
    ]
    assert await decided(poisoned) == ["e1", "e2", "e3"]


async def test_event_that_cannot_be_handled_fails_no_concurrent_one(poisoned: Database, intake: EventIntake) -> None:
    hooks = SourceWebhooks(intake, {"s": Source("s", SourceKind.GENERIC)})
    ids = ["e1", "poison", *(f"f{number}" for number in range(10))]
    sent = [json.dumps(purchase(id_, customer={"id": id_})).encode() for id_ in ids]
    became = await asyncio.gather(*(hooks.decide(hooks.sources["s"], one, {}) for one in sent))
    assert became == [WebhookResult.DECIDED, WebhookResult.PARKED, *[WebhookResult.DECIDED] * 10]
    assert sorted(await decided(poisoned)) == sorted(set(ids) - {"poison"})
    assert await parked(poisoned) == ["could not be handled: DataError"]


async def test_line_of_a_file_that_cannot_be_handled_is_refused_alone(
    poisoned: Database, intake: EventIntake, tmp_path: Path
) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_text("\n".join(json.dumps(purchase(id_)) for id_ in ("e1", "poison", "e2")))
    report = await FileIngest(intake, path, IngestMode.INGEST, Source("s", SourceKind.GENERIC)).run()
    assert (report.refused, report.reasons.total()) == (1, 2)
    assert await decided(poisoned) == ["e1", "e2"]


async def test_mapping_that_raises_parks_each_message_and_ends_no_consumer(
    installed: Database, event_log: EventLog, clock: ManualClock
) -> None:
    def broken(_found: Any) -> MappedEvent | None:
        raise TypeError("'str' object does not support item assignment")

    sources = {"theirs": Source("theirs", SourceKind.KAFKA, read=broken)}
    logs = main.EventLogs(event_log, event_log, event_log)
    consumer = main.consumers(TriggerSettings(_env_file=None), installed, logs, sources=sources, clock=clock)["crm"]
    theirs = [from_source(sources["theirs"], Message("", "", b"{}", {}, str(number))) for number in range(150)]
    ours = Message("crm.events", "", json.dumps(purchase("e1")).encode())
    assert await consumer.handle([*theirs, ours], asyncio.Event())
    assert await decided(installed) == ["e1"]
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT reason, count(*) FROM parked GROUP BY 1")
    assert [tuple(row) for row in rows] == [("cannot be read: TypeError", 150)]


# --- deals


class FakeDealFetcher(DealFetcher):
    """Takes deals from memory instead of fetching them."""

    found: Mapping[str, Any]

    async def _fetch(self, source: Source, deal_id: str) -> dict[str, Any]:
        assert source is DEALS
        return {"deal": self.found[deal_id], "contact": BITRIX_CONTACT}


async def queue_deals(database: Database, *deals: str) -> None:
    for deal in deals:
        async with database.sessions.begin() as session:
            await deal_fetches.add(session, "crm", deal)


def fetcher_of(intake: EventIntake, found: Mapping[str, Any]) -> FakeDealFetcher:
    made = FakeDealFetcher(intake.sessions, {"crm": DEALS}, SourceWebhooks(intake, {"crm": DEALS}).decide)
    made.found = found
    return made


async def test_deal_that_cannot_be_read_is_put_off_and_the_others_are_decided(
    poisoned: Database, intake: EventIntake
) -> None:
    found = {"1": BITRIX_DEAL, "3": {**BITRIX_DEAL, "ID": "poison"}, "4": {**BITRIX_DEAL, "ID": "4"}}
    await queue_deals(poisoned, "1", "2", "3", "4")  # the second raises KeyError
    reading = fetcher_of(intake, found)
    assert [await reading.tick() for _ in range(5)] == [1, 1, 1, 1, 0]
    assert await decided(poisoned) == ["deal-410-won", "deal-4-won"]
    assert await parked(poisoned) == ["could not be handled: DataError"]
    async with poisoned.sessions() as session:
        rows = await db.fetch(session, "SELECT ref, due_at > clock_timestamp() AS later FROM rereads")
    assert [tuple(row) for row in rows] == [("2", True)]


async def test_lease_of_a_deal_begins_when_it_is_fetched(poisoned: Database, intake: EventIntake) -> None:
    """While one process fetches a slow deal, another fetches the next ones."""
    await queue_deals(poisoned, "1", "2")
    slow, going_on = asyncio.Event(), asyncio.Event()

    async def slowly(_source: Source, _body: bytes, _headers: Mapping[str, str]) -> None:
        slow.set()
        await going_on.wait()

    found = {number: {**BITRIX_DEAL, "ID": number} for number in ("1", "2")}
    one = FakeDealFetcher(intake.sessions, {"crm": DEALS}, slowly)
    one.found = found
    reading = asyncio.create_task(one.tick())
    await slow.wait()
    assert [await fetcher_of(intake, found).tick() for _ in range(2)] == [1, 0]
    assert await decided(poisoned) == ["deal-2-won"]
    going_on.set()
    await reading


def vendor(name: str) -> Source:
    mapping = read_mapping((MAPPINGS / f"{name}.yaml").read_bytes())
    return Source(name, SourceKind(name), read=compile_mapping(mapping))


def deal(number: int, chance: random.Random) -> tuple[Any, dict[str, str]]:
    found = {**BITRIX_DEAL, "ID": str(number), "STAGE_SEMANTIC_ID": chance.choice("SSSF"), "CONTACT_ID": str(number)}
    return {"deal": found, "contact": {**BITRIX_CONTACT, "ID": str(number)}}, {}


def shop_order(number: int, _chance: random.Random) -> tuple[Any, dict[str, str]]:
    return {**SHOPIFY_ORDER, "id": number}, {"x-shopify-topic": "orders/fulfilled"}


def woo_order(number: int, _chance: random.Random) -> tuple[Any, dict[str, str]]:
    return {**WOO_ORDER, "id": number}, {"x-wc-webhook-resource": "order"}


@pytest.mark.parametrize(("name", "make"), [("bitrix24", deal), ("shopify", shop_order), ("woocommerce", woo_order)])
async def test_every_message_of_a_vendor_is_decided_or_parked_and_valid_ones_are_decided(
    poisoned: Database, event_log: EventLog, clock: ManualClock, name: str, make: Make
) -> None:
    chance, source, logs = random.Random(corpora.SEED), vendor(name), main.EventLogs(event_log, event_log, event_log)
    inputs = corpora.SIZE if name == "bitrix24" else corpora.SIZE // 5
    settings, good = TriggerSettings(_env_file=None), range(0, inputs, 10)
    consumer = main.consumers(settings, poisoned, logs, sources={name: source}, clock=clock)["crm"]

    def message(number: int) -> Message:
        document, headers = make(number, chance)
        body = json.dumps(document).encode()
        if number not in good:
            body = corpora.written(corpora.changed(document, chance), chance)
        return from_source(source, Message("", "", body, headers, f"hooks/{name}/{number}"))

    for start in range(0, inputs, 500):
        batch = [message(number) for number in range(start, min(start + 500, inputs))]
        assert await consumer.handle(batch, asyncio.Event())
    known = {number for id_ in await decided(poisoned) for number in re.findall(r"\d+", id_)}
    assert {str(number) for number in good} <= known
    async with poisoned.sessions() as session:
        reasons = Counter(row["reason"] for row in await db.fetch(session, "SELECT reason FROM parked"))
    assert not [reason for reason in reasons if reason.startswith(("the handler failed", "cannot be read"))]
    assert reasons.total() > inputs // 20
