"""A dry run decides about events and stores nothing; unknown parameters are refused."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from shared.database.db import Database
from tests.integration.trigger.samples import count, purchase

DRY = {"dry_run": "true"}


async def post(client: httpx2.AsyncClient, event: Any, **params: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post("/v1/events", json=event, params=params)
    reply: dict[str, Any] = answer.json()
    return answer.status_code, reply


async def stored(database: Database) -> list[int]:
    return [await count(database, table) for table in ("decisions", "respondents", "touchpoints", "outbox")]


async def test_dry_run_decides_and_stores_nothing(client: httpx2.AsyncClient, installed: Database) -> None:
    before = await stored(installed)
    for _ in range(2):
        status, reply = await post(client, purchase("e1", touchpoint={"store": [1]}), **DRY)
        assert (status, reply["dry_run"], reply["reason"], reply["program"]) == (200, True, "asked", "after-purchase")
        assert [each["field"] for each in reply["ignored"]] == ["touchpoint.store"]
        assert [trial["rule"] for trial in reply["trail"]] == ["asked"]
        assert not {"decision_id", "invitation_id"} & set(reply)
    assert await stored(installed) == before
    assert (await post(client, purchase("e1")))[1]["reason"] == "asked"


async def test_dry_run_of_a_batch_sees_the_events_before_each(client: httpx2.AsyncClient, installed: Database) -> None:
    status, reply = await post(client, [purchase("e1"), purchase("e2"), {}], **DRY)
    assert status == 200
    assert [each.get("reason", each.get("status")) for each in reply["results"]] == ["asked", "quarantined", 422]
    assert await count(installed, "decisions") == 0


async def test_dry_run_knows_the_stored_decision_of_a_repeated_event(client: httpx2.AsyncClient) -> None:
    await post(client, purchase("e1"))
    assert (await post(client, purchase("e1"), **DRY))[1]["reason"] == "asked"
    assert (await post(client, purchase("e1", order="other"), **DRY))[0] == 409
    assert (await post(client, purchase("e2"), **DRY))[1]["reason"] == "quarantined"


async def test_dry_run_of_a_bad_event_is_refused_as_the_event_is(client: httpx2.AsyncClient) -> None:
    assert (await post(client, purchase("e1", customer={}), **DRY))[0] == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/events?dryrun=true"),
        ("POST", "/v1/events?dry_run=true&dry_run=false"),
        ("POST", "/v1/events?dry_run=perhaps"),
        ("GET", "/v1/decisions?costumer=c1"),
        ("GET", "/v1/programs?limit=1"),
        ("GET", "/decisions?costumer=c1"),
        ("POST", "/v1/respondents/c1/erase?dry_run=true"),
    ],
)
async def test_unknown_or_repeated_parameter_is_refused(
    client: httpx2.AsyncClient, installed: Database, method: str, path: str
) -> None:
    answer = await client.request(method, path, content=json.dumps(purchase("e1")))
    assert answer.status_code == 422
    assert "query." in answer.text
    assert await count(installed, "decisions") == 0


@pytest.mark.parametrize("broken", [b"NaN", b'"\\ud800"', b'"\xff"', b"9" * 5000, b'"\\u0000"'])
async def test_detail_that_is_no_json_loses_neither_its_event_nor_the_others(
    client: httpx2.AsyncClient, broken: bytes
) -> None:
    body = json.dumps([purchase("e1"), purchase("e2", attributes={"x": "?"})]).encode().replace(b'"?"', broken)
    for raw in (body, b"\xef\xbb\xbf" + body):
        results = (await client.post("/v1/events", content=raw)).json()["results"]
        assert [each["reason"] for each in results] == ["asked", "quarantined"]
        assert [[one["field"] for one in each["ignored"]] for each in results] == [[], ["attributes.x"]]
