"""The API of stores: by code, with conditions, and from files."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from services.scoring.stores import saving
from tests.integration.scoring.stand import Scoring, answer_all

ARBAT: dict[str, Any] = {
    "name": "Arbat",
    "spellings": ["Арбат", "old Arbat"],
    "region": "Moscow",
    "time_zone": "Europe/Moscow",
    "hours": {"mon": "09:00-13:00, 14:00-21:00", "fri": "18:00-26:00"},
    "manager": "Anna",
    "deputy": None,
    "review_links": ["https://maps.example/arbat"],
    "closed_since": "2026-12-31",
}


async def put(
    client: httpx2.AsyncClient, code: str, headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    return await client.put(f"/v1/stores/{code}", json=body, headers=headers)


async def stores(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/v1/stores")).json()["stores"]
    return found


async def test_store_is_put_read_listed_and_deleted_by_its_code(client: httpx2.AsyncClient) -> None:
    answer = await put(client, "77", **ARBAT)
    stored = answer.json()
    assert stored == {**ARBAT, "code": "77", "spellings": ["old Arbat", "Арбат"], "version": stored["version"]}
    assert answer.headers["etag"] == f'"{stored["version"]}"'
    read = await client.get("/v1/stores/77")
    assert (read.json(), read.headers["etag"]) == (stored, answer.headers["etag"])
    assert await stores(client) == [stored]
    assert (await client.delete("/v1/stores/77")).status_code == 204
    assert (await client.delete("/v1/stores/77")).status_code == 404
    assert (await client.get("/v1/stores/77")).status_code == 404


async def test_put_replaces_every_field(client: httpx2.AsyncClient) -> None:
    await put(client, "77", **ARBAT)
    await put(client, "77", name="Arbat")
    [stored] = await stores(client)
    assert {name for name, value in stored.items() if value} == {"code", "name", "version"}


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"time_zone": "Moscow"}, "body.time_zone", "no such zone"),
        ({"hours": {"mon": "21:00-09:00"}}, "body.hours", "end before they begin"),
        ({"hours": {"monday": "09:00-21:00"}}, "body.hours.monday.[key]", "Input should be"),
        ({"review_links": ["ftp://a"]}, "body.review_links", "expected addresses"),
        ({"owner": "Anna"}, "body.owner", "Extra inputs"),
        ({"name": "a\nb"}, "body.name", "line break"),
    ],
)
async def test_invalid_store_is_refused_with_its_field(
    client: httpx2.AsyncClient, changes: dict[str, Any], where: str, what: str
) -> None:
    answer = await put(client, "77", **(ARBAT | changes))
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["where"]) == (422, where)
    assert what in error["what"]
    assert await stores(client) == []


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("78", {"name": "Sokol", "spellings": ["old Arbat"]}),
        ("old Arbat", {"name": "Sokol"}),
        ("78", {"name": "Арбат"}),
    ],
)
async def test_name_of_another_store_is_refused(client: httpx2.AsyncClient, code: str, body: dict[str, Any]) -> None:
    await put(client, "77", **ARBAT)
    answer = await put(client, code, **body)
    assert answer.status_code == 409
    assert "is a name of the store 77" in answer.json()["detail"]
    assert len(await stores(client)) == 1


async def test_conditions_of_a_request_are_kept(client: httpx2.AsyncClient) -> None:
    first = (await put(client, "77", {"if-none-match": "*"}, **ARBAT)).headers["etag"]
    assert (await put(client, "77", {"if-none-match": "*"}, name="x")).status_code == 412
    second = (await put(client, "77", {"if-match": f'"other", {first}'}, name="Arbat 2")).headers["etag"]
    assert (await put(client, "77", {"if-match": first}, name="x")).status_code == 412
    assert (await client.delete("/v1/stores/77", headers={"if-match": first})).status_code == 412
    assert (await put(client, "78", {"if-match": "*"}, name="x")).status_code == 412
    assert (await put(client, "77", name="the last write counts")).status_code == 200
    assert (await client.delete("/v1/stores/77", headers={"if-match": second})).status_code == 412
    assert (await client.delete("/v1/stores/77", headers={"if-match": "*"})).status_code == 204


async def test_of_two_people_who_save_the_same_store_at_once_one_is_told(client: httpx2.AsyncClient) -> None:
    read = (await put(client, "77", **ARBAT)).headers["etag"]
    both = await asyncio.gather(*(put(client, "77", {"if-match": read}, name=name) for name in ("Anna's", "Boris's")))
    assert sorted(answer.status_code for answer in both) == [200, 412]
    [stored] = await stores(client)
    assert stored["name"] == next(answer.json()["name"] for answer in both if answer.status_code == 200)


async def test_same_spelling_put_for_two_stores_at_once_goes_to_one(client: httpx2.AsyncClient) -> None:
    both = await asyncio.gather(*(put(client, code, name=code, spellings=["Arbat"]) for code in ("1", "2", "3")))
    assert sorted(answer.status_code for answer in both) == [200, 409, 409]


async def test_list_has_a_limit(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "MOST_STORES", 1)
    assert (await put(client, "1", name="a")).status_code == 200
    assert (await put(client, "2", name="b")).status_code == 422
    assert (await put(client, "1", name="c")).status_code == 200


async def test_stores_that_events_name_and_the_list_lacks_are_listed(
    client: httpx2.AsyncClient, scoring: Scoring
) -> None:
    for store in ("old Arbat", "Sokol", "Khimki"):
        await answer_all(scoring, [9], segments={"store": store, "region": "r"})
    await put(client, "77", **ARBAT)
    assert (await client.get("/v1/stores")).json()["unlisted"] == ["Khimki", "Sokol"]
    await client.delete("/v1/stores/77")
    assert (await client.get("/v1/stores")).json()["unlisted"] == ["Khimki", "Sokol", "old Arbat"]


@pytest.mark.parametrize("path", ["/v1/stores?code=77", "/v1/stores/77?x=1", "/v1/stores/import?dryrun=true"])
async def test_unknown_parameters_are_refused(client: httpx2.AsyncClient, path: str) -> None:
    method = "POST" if "import" in path else "GET"
    assert (await client.request(method, path)).status_code == 422
