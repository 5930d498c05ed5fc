"""What trigger's audit log says about programs and erasures, and that events have a ledger of their own."""

from __future__ import annotations

from uuid import uuid4

import httpx2

from services.trigger.main import PROGRAMS
from shared.contract.api_keys import KeyScope, NewKey
from shared.database import api_keys
from shared.database.audit import chain
from shared.database.db import Database, fetch
from tests.audit import audit_rows, ended, everything_written
from tests.integration.trigger.samples import purchase


async def test_erasure_names_the_event_that_asked_for_it_and_not_the_customer(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    await client.post("/v1/events", json=purchase("e1"))
    async with installed.sessions.begin() as session:
        await chain.customer_id(session, "c-1001")
        await chain.customer_id(session, "somebody-else")
    await client.post("/v1/respondents/c-1001/erase")
    await client.post("/v1/respondents/anna@shop.example/erase")
    await client.get("/v1/decisions", params={"customer": "anna@shop.example"})
    asked, done, *_ = await audit_rows(installed)
    action = "POST /v1/respondents/{customer_id:path}/erase"
    assert (asked.action, asked.subject, asked.customer, asked.status) == (action, None, None, None)
    decided = (await client.get("/v1/decisions", params={"customer": "c-1001"})).json()["decisions"]
    assert (done.action, done.status, done.of) == (action, 202, asked.number)
    assert done.subject in {each["id"] for each in decided}
    written = await everything_written(installed)
    assert not [word for word in ("c-1001", "anna@", "shop.example") if word in written]
    async with installed.sessions.begin() as session:
        left = await fetch(session, "SELECT respondent_id FROM audit_customers")
    assert [each[0] for each in left] == ["somebody-else"]


async def test_program_that_is_applied_is_named_with_its_version(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    document = (PROGRAMS / "after-purchase.yaml").read_text().replace("priority: 100", "priority: 101")
    answer = await client.put("/v1/programs", content=document)
    assert answer.status_code == 200, answer.text
    version, changed = answer.json()["version"], str(answer.json()["changed"]).lower()
    assert await ended(installed) == [
        ("PUT /v1/programs", "after-purchase", f'{{"changed":{changed},"version":{version}}}', 200)
    ]


async def test_page_and_api_of_trigger_show_its_own_log(client: httpx2.AsyncClient, installed: Database) -> None:
    await client.post("/v1/respondents/c-1001/erase")
    page = (await client.get("/audit/trigger")).text
    assert "erase a customer" in page
    assert 'href="http://127.0.0.1:8000/audit/scoring"' in page
    rows = (await client.get("/v1/audit-trigger", params={"what": "erase"})).json()["rows"]
    assert [(each["number"], each["stage"], each["status"]) for each in rows] == [(1, "asked", None), (2, "ended", 202)]
    assert rows[-1]["hash"] == (await audit_rows(installed))[-1].hash.hex()


async def test_events_are_in_no_audit_log(client: httpx2.AsyncClient, installed: Database) -> None:
    assert (await client.post("/v1/events", json=purchase("e1"))).status_code == 202
    assert await audit_rows(installed) == []


async def test_page_of_keys_names_those_of_trigger_and_revokes_one(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    key = NewKey(uuid4(), "till", b"digest", frozenset([KeyScope.EVENTS_WRITE]), None)
    async with installed.sessions.begin() as session:
        await api_keys.add(session, key)
    page = (await client.get("/keys/trigger")).text
    for text in ("till</td>", "events:write", "for good"):
        assert text in page
    assert 'id="webhooks"' not in page
    assert (await client.post(f"/keys/trigger/{key.id}/revoke")).status_code == 303
    assert "by software" in (await client.get("/keys/trigger")).text
