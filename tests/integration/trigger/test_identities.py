"""Who an event is about: namespaces, the case of ids, and respondents whose ids are older than both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.handlers.events import decide_events, read_event
from services.trigger.handlers.mapped_events import from_source, read_message
from services.trigger.repository import past_events, respondents
from shared.contract.address_keys import AddressKeys
from shared.contract.events import RespondentErased, SurveyRequested, SurveyWithdrawn
from shared.database import db
from shared.database.db import Database
from shared.messaging.codec import InvalidEvent
from tests.integration.trigger.samples import (
    NOW,
    SETTINGS,
    body,
    cancellation,
    decide,
    known_respondents,
    later,
    message,
    published,
    purchase,
    reasons,
)


def customer(id_: str, email: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id_, **({"email": email} if email else {}), **more}


async def people(database: Database) -> list[str]:
    async with database.sessions() as session:
        return [row["id"] for row in await db.fetch(session, "SELECT id FROM respondents ORDER BY id")]


async def make_older(database: Database) -> None:
    """Turn every stored respondent into one of before the case of ids counted and namespaces existed."""
    async with database.sessions.begin() as session:
        await db.fetch(session, "UPDATE respondents SET has_older_id = true")


async def decided(database: Database, sent: Sequence[dict[str, Any]]) -> list[StoredDecision]:
    verdicts = await decide(database, sent)
    found = [verdict for verdict in verdicts if isinstance(verdict, StoredDecision)]
    assert len(found) == len(verdicts)
    return found


async def test_two_shops_with_the_same_customer_and_order_ids_ask_two_people(installed: Database) -> None:
    ivan, olga = ("42", "ivan@shop.example"), ("42", "olga@shop.example")
    sent = [
        purchase("e1", order="1001", source="shop-a", customer=customer(*ivan, namespace="shop-a")),
        purchase("e1", order="1001", source="shop-b", customer=customer(*olga, namespace="shop-b")),
    ]
    assert await reasons(installed, sent) == ["asked", "asked"]
    requests = [event.payload for event in await published(installed) if isinstance(event.payload, SurveyRequested)]
    assert [(r.key, r.customer_id, r.contact.email) for r in requests] == [
        ("ns:shop-a:42", "42", "ivan@shop.example"),
        ("ns:shop-b:42", "42", "olga@shop.example"),
    ]


async def test_erasure_and_cancellation_stay_in_their_namespace(installed: Database) -> None:
    sent = [
        purchase("e1", order="1001", source=shop, customer=customer("42", f"{shop}@x.example", namespace=shop))
        for shop in ("shop-a", "shop-b")
    ]
    await decide(installed, sent)
    ended = [
        cancellation("e2", order="1001", source="shop-a", customer=customer("42", namespace="shop-a")),
        body("customer.erased", "e3", source="shop-b", customer=customer("42", namespace="shop-b")),
    ]
    assert await reasons(installed, ended) == ["withdrawn", "no_program"]
    (*_, withdrawn, erased) = [event.payload for event in await published(installed)]
    assert isinstance(withdrawn, SurveyWithdrawn)
    assert isinstance(erased, RespondentErased)
    assert (withdrawn.respondent_id, erased.respondent_id) == ("ns:shop-a:42", "ns:shop-b:42")
    async with installed.sessions.begin() as session:
        known = await respondents.lock(session, await people(installed))
    assert {id_: one.email for id_, one in known.items()} == {"ns:shop-a:42": "shop-a@x.example", "ns:shop-b:42": None}


async def test_ids_that_differ_in_case_are_two_customers(installed: Database) -> None:
    sent = [
        purchase("e1", customer=customer("0015g00000XyZaB", "ann@shop.example")),
        purchase("e2", customer=customer("0015g00000xyzab", "bob@shop.example")),
    ]
    assert await reasons(installed, sent) == ["asked", "asked"]
    assert await people(installed) == ["0015g00000XyZaB", "0015g00000xyzab"]


async def test_older_customer_is_found_by_any_case(installed: Database) -> None:
    await decide(installed, [purchase("e1", order="1", customer=customer("ab", "ann@shop.example"))])
    await make_older(installed)
    sent = [
        purchase("e2", order="2", customer=customer("Ab", "ann@shop.example")),
        cancellation("e3", order="1", customer=customer("aB")),
        body("customer.updated", "e4", customer=customer("AB", "new@shop.example")),
        body("customer.erased", "e5", customer=customer("AB")),
    ]
    stored = await decided(installed, sent)
    assert [each.reason for each in stored] == ["quarantined", "withdrawn", "no_program", "no_program"]
    assert {each.respondent_id for each in stored} == {"ab"}
    assert await people(installed) == ["ab"]


async def test_exact_id_comes_before_an_older_one(installed: Database) -> None:
    await decide(installed, [purchase("e1", customer=customer("AB", "ann@shop.example"))])
    await decide(installed, [purchase("e2", customer=customer("ab", "bob@shop.example"))])
    async with installed.sessions.begin() as session:
        await db.fetch(session, "UPDATE respondents SET has_older_id = true WHERE id = 'ab'")
    (stored,) = await decided(installed, [purchase("e3", customer=customer("AB", "ann@shop.example"))])
    assert (stored.respondent_id, stored.reason) == ("AB", "quarantined")


async def test_older_customer_of_one_source_goes_on_in_its_namespace(installed: Database) -> None:
    await decide(installed, [purchase("e1", order="1", source="shop-a", customer=customer("42", "ann@shop.example"))])
    await make_older(installed)
    sent = [
        purchase("e2", order="2", source="shop-a", customer=customer("42", namespace="shop-a")),
        purchase("e2", order="2", source="shop-b", customer=customer("42", "bob@x.example", namespace="shop-b")),
    ]
    stored = await decided(installed, sent)
    assert [(each.respondent_id, each.reason) for each in stored] == [("42", "quarantined"), ("ns:shop-b:42", "asked")]


async def test_older_customer_of_two_sources_belongs_to_neither_namespace(installed: Database) -> None:
    for source in ("shop-a", "shop-b"):
        sent = purchase("e1", order="1", source=source, customer=customer("42", f"{source}@x.example"))
        await decide(installed, [sent])
    await make_older(installed)
    sent = purchase("e2", order="2", source="shop-a", customer=customer("42", "new@x.example", namespace="shop-a"))
    (stored,) = await decided(installed, [sent])
    assert (stored.respondent_id, stored.reason) == ("ns:shop-a:42", "asked")


async def test_repeated_event_is_known_after_its_source_got_a_namespace(installed: Database) -> None:
    before = purchase("e1", source="shop-a", customer=customer("42", "ann@shop.example"))
    after = purchase("e1", source="shop-a", customer=customer("42", "ann@shop.example", namespace="shop-a"))
    assert await reasons(installed, [before, after]) == ["asked", "asked"]
    assert len(await published(installed)) == 1


@pytest.mark.parametrize(("given", "id_"), [("shop-a", "ns:shop-a:42"), ("shared", "42"), ("crm", "ns:crm:42")])
def test_source_gives_its_events_the_namespace_it_declares(given: str, id_: str) -> None:
    source = Source("shop-a", SourceKind.KAFKA, namespace=given)
    sent = purchase("e1", customer=customer("42"))
    read = read_message(from_source(source, message(sent)), {"shop-a": source}, received=NOW)
    assert read is not None
    assert read.payload.key == id_


def test_event_keeps_the_namespace_it_names_itself() -> None:
    source = Source("shop-a", SourceKind.KAFKA, namespace="shop-a")
    sent = purchase("e1", customer=customer("42", namespace="till-7"))
    read = read_message(from_source(source, message(sent)), {"shop-a": source}, received=NOW)
    assert read is not None
    assert read.payload.key == "ns:till-7:42"


@pytest.mark.parametrize("namespace", ["Shop A", "shop:a", " ", "a" * 51, "-a", 7])
async def test_namespace_that_cannot_be_read_refuses_the_event(client: httpx2.AsyncClient, namespace: object) -> None:
    answer = await client.post("/v1/events", json=purchase("e1", customer=customer("42", namespace=namespace)))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("customer.namespace:")


def test_id_too_long_with_its_namespace_is_refused() -> None:
    source = Source("shop-a", SourceKind.KAFKA, namespace="shop-a")
    sent = purchase("e1", customer=customer("4" * 200))
    with pytest.raises(InvalidEvent, match=r"customer\.id"):
        read_message(from_source(source, message(sent)), {"shop-a": source}, received=NOW)


async def test_blank_namespace_is_none(client: httpx2.AsyncClient, installed: Database) -> None:
    for number, namespace in enumerate((None, "")):
        sent = purchase(f"e{number}", customer=customer("42", namespace=namespace))
        assert (await client.post("/v1/events", json=sent)).status_code == 202
    assert await people(installed) == ["42"]


async def test_api_finds_and_erases_within_a_namespace(client: httpx2.AsyncClient, installed: Database) -> None:
    for shop in ("shop-a", "shop-b"):
        await decide(installed, [purchase("e1", source=shop, customer=customer("42", namespace=shop))])

    async def sources(**asked: str) -> list[str]:
        found = (await client.get("/v1/decisions", params=asked)).json()["decisions"]
        return [each["source"] for each in found]

    assert await sources(customer="42", namespace="shop-a") == ["shop-a"]
    assert await sources(customer="ns:shop-b:42") == ["shop-b"]
    assert await sources(customer="42") == []
    assert (await client.post("/v1/respondents/42/erase?namespace=shop-a")).status_code == 202
    assert (await client.post("/v1/respondents/ns:shop-b:42/erase")).status_code == 202
    assert await people(installed) == ["ns:shop-a:42", "ns:shop-b:42"]
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT erased_at IS NOT NULL AS erased FROM respondents")
    assert all(row["erased"] for row in rows)


async def test_older_decisions_are_found_by_the_id_as_the_crm_writes_it(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    await decide(installed, [purchase("e1", source="shop-a", customer=customer("ab"))])
    await make_older(installed)
    for asked in ({"customer": "AB"}, {"customer": "AB", "namespace": "shop-a"}):
        assert len((await client.get("/v1/decisions", params=asked)).json()["decisions"]) == 1
    wrong = {"customer": "AB", "namespace": "shop-b"}
    assert (await client.get("/v1/decisions", params=wrong)).json()["decisions"] == []


async def test_past_events_of_a_namespace_are_simulated_for_the_same_person(installed: Database) -> None:
    sent = purchase("e1", source="shop-a", customer=customer("42", "ann@shop.example", namespace="shop-a"))
    await decide(installed, [sent])
    async with installed.sessions() as session:
        (event,) = await past_events.events_since(session, NOW - timedelta(days=1))
        known = await past_events.respondents_at(session, later(days=-1), [event])
    assert event.payload.key in known
    assert known["ns:shop-a:42"].purchases == 0


GUEST = SETTINGS.address_keys.pseudonym("olga@example.com")


@pytest.mark.parametrize(
    "id_", ["olga@example.com", " Olga@Example.COM", "mailto:olga@example.com", "<olga@example.com>"]
)
async def test_id_that_is_an_address_becomes_a_pseudonym_everywhere(installed: Database, id_: str) -> None:
    (stored,) = await decided(installed, [purchase("e1", customer=customer(id_, "olga@example.com"))])
    assert (stored.respondent_id, stored.reason) == (GUEST, "asked")
    (event,) = await published(installed)
    assert isinstance(event.payload, SurveyRequested)
    assert (event.payload.key, event.payload.customer_id) == (GUEST, GUEST)
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT row_to_json(d)::text AS row FROM decisions AS d")
    (known,) = await known_respondents(installed)
    assert not [row for row in rows if "olga" in row["row"].lower()]
    assert (known.id, known.customer_id) == (GUEST, GUEST)


async def test_guest_of_a_source_is_found_and_erased_by_the_address(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    sent = purchase("e1", source="shop-a", customer=customer("olga@example.com", namespace="shop-a"))
    assert (await decided(installed, [sent]))[0].respondent_id == f"ns:shop-a:{GUEST}"
    for asked in ({"customer": "Olga@example.com"}, {"customer": "olga@example.com", "namespace": "shop-a"}):
        assert len((await client.get("/v1/decisions", params=asked)).json()["decisions"]) == 1
    assert (await client.post("/v1/respondents/olga@example.com/erase")).status_code == 202
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT erased_at FROM respondents WHERE id = $1", f"ns:shop-a:{GUEST}")
    assert row["erased_at"] is not None


async def test_older_customer_whose_id_is_an_address_is_still_found(installed: Database) -> None:
    async with installed.sessions.begin() as session:
        await db.fetch(session, "INSERT INTO respondents (id, spread) VALUES ('olga@example.com', 0)")
    (stored,) = await decided(installed, [purchase("e1", customer=customer("Olga@example.com"))])
    assert stored.respondent_id == "olga@example.com"


async def test_guest_is_the_same_after_the_key_was_replaced(installed: Database) -> None:
    await decide(installed, [purchase("e1", customer=customer("olga@example.com", "olga@example.com"))])
    rotated = replace(SETTINGS, address_keys=AddressKeys({"k2": "newer", **SETTINGS.address_keys.keys}))
    event = read_event(message(purchase("e2", customer=customer("olga@example.com"))))
    async with installed.sessions.begin() as session:
        (verdict,) = await decide_events(session, [event], now=NOW, settings=rotated)
    assert isinstance(verdict, StoredDecision)
    assert (verdict.respondent_id, verdict.reason) == (GUEST, "quarantined")


def clashes() -> float:
    return REGISTRY.get_sample_value("earshot_id_clashes_total", {"service": "trigger"}) or 0


async def test_two_sources_that_give_one_id_different_addresses_are_named(installed: Database) -> None:
    before = clashes()
    ivan = purchase("e1", source="shop-a", customer={"id": "42", "email": "ivan@shop.example"})
    olga = purchase("e2", source="shop-b", customer={"id": "42", "email": "olga@shop.example"})
    own = body("customer.updated", "e3", source="shop-b", customer={"id": "42", "email": "olga@new.example"})
    again = purchase("e4", source="shop-a", customer={"id": "42", "email": "olga@new.example"})
    found = await decide(installed, [ivan, olga, own, again])
    named = [[one["field"] for one in each.ignored or ()] for each in found if isinstance(each, StoredDecision)]
    assert named == [[], ["customer.id"], [], []]
    [note] = [one for each in found if isinstance(each, StoredDecision) for one in each.ignored or ()]
    assert note["why"] == "shop-a gave this id another address"
    assert clashes() == before + 1


async def test_ids_of_two_namespaces_do_not_clash(installed: Database) -> None:
    before = clashes()
    for number, name in enumerate(("one", "two")):
        customer = {"id": "42", "namespace": name, "email": f"{name}@shop.example"}
        await decide(installed, [purchase(f"e{number}", source=name, customer=customer)])
    assert clashes() == before
