"""Figures count all spellings of a store as one, and split again when a spelling is taken away."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.integration.scoring.stand import NOW, Scoring, answer_all, differences

PROGRAM = {"program": "after-purchase"}
SCORES = {"Arbat": [9, 10, 3], "old Arbat": [9, 2], "A-77": [8], "Sokol": [10]}


@pytest.fixture
async def answered(scoring: Scoring) -> Scoring:
    for store, scores in SCORES.items():
        await answer_all(scoring, scores, segments={"store": store, "channel": "shop" if scores[0] > 8 else "web"})
        await scoring.asked(segments={"store": store, "channel": "shop"})
    await scoring.tick()
    return scoring


async def listed(client: httpx2.AsyncClient, *spellings: str) -> None:
    body = {"name": "Arbat street", "spellings": ["Arbat", *spellings]}
    (await client.put("/v1/stores/77", json=body)).raise_for_status()


async def series(client: httpx2.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/v1/nps", params={**PROGRAM, **query})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["series"]
    return found


async def by_store(client: httpx2.AsyncClient, **query: str) -> dict[str, tuple[int, int, int]]:
    return {each["value"]: (each["n"], each["promoters"], each["invited"]) for each in await series(client, **query)}


APART = {"A-77": (1, 0, 2), "Arbat": (3, 2, 4), "Sokol": (1, 1, 2), "old Arbat": (2, 1, 3)}
TOGETHER = {"Arbat street": (6, 3, 9), "Sokol": (1, 1, 2)}


@pytest.mark.parametrize("definition", ["every_answer", "latest_per_customer"])
@pytest.mark.usefixtures("answered")
async def test_spellings_count_as_one_store_at_once_and_apart_again(
    client: httpx2.AsyncClient, scoring: Scoring, definition: str
) -> None:
    split = {"by": "store", "definition": definition}
    assert await by_store(client, **split) == APART
    await listed(client, "old Arbat", "A-77")
    assert await by_store(client, **split) == TOGETHER
    await listed(client, "A-77")
    partly = {"Arbat street": (4, 2, 6), "Sokol": APART["Sokol"], "old Arbat": APART["old Arbat"]}
    assert await by_store(client, **split) == partly
    assert (await client.delete("/v1/stores/77")).status_code == 204
    assert await by_store(client, **split) == APART
    assert await differences(scoring) == []


@pytest.mark.usefixtures("answered")
async def test_any_name_of_a_store_selects_all_of_it(client: httpx2.AsyncClient) -> None:
    await listed(client, "old Arbat", "A-77")
    for name in ("Arbat street", "77", "old Arbat"):
        [whole] = await series(client, segment=f"store:{name}")
        assert (whole["value"], whole["n"], whole["invited"]) == ("Arbat street", 6, 9)
        assert (await client.get(f"/v1/funnel?segment=store:{name}")).json()["asked"] == 9
        answers = (await client.get("/v1/answers", params={**PROGRAM, "segment": [f"store:{name}"]})).json()["answers"]
        assert {each["segments"]["store"] for each in answers} == {"Arbat", "old Arbat", "A-77"}
    days = await series(client, segment="store:77", period="day")
    assert [(each["n"], each["period"]) for each in days] == [(6, NOW.date().isoformat())]
    [sokol] = await series(client, segment="store:Sokol")
    assert (sokol["value"], sokol["n"]) == ("Sokol", 1)
    answers = (await client.get("/v1/answers", params={"segment": ["store:Sokol", "channel:shop"]})).json()["answers"]
    assert len(answers) == 1


@pytest.mark.usefixtures("answered")
async def test_crossed_dimensions_sum_up_to_the_store(client: httpx2.AsyncClient) -> None:
    await listed(client, "old Arbat", "A-77")
    crossed = {tuple(each["values"]): (each["n"], each["invited"]) for each in await series(client, by="store,channel")}
    assert crossed == {
        ("Arbat street", "shop"): (5, 8),
        ("Arbat street", "web"): (1, 1),
        ("Sokol", "shop"): (1, 2),
    }
    within = {each["value"]: each["n"] for each in await series(client, by="channel", segment="store:77")}
    assert within == {"shop": 5, "web": 1}


async def test_latest_answer_of_a_customer_counts_once_in_a_store_of_two_spellings(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    for store, score in (("Arbat", 3), ("old Arbat", 9)):
        request = await scoring.asked(customer_id="olga", segments={"store": store})
        await scoring.score(request, score)
    await listed(client, "old Arbat")
    latest = {"segment": "store:77", "definition": "latest_per_customer"}
    assert [each["by_score"] for each in await series(client, **latest) if each["n"]] == [[0] * 9 + [1, 0]]
    assert await by_store(client, by="store", definition="latest_per_customer") == {"Arbat street": (1, 1, 2)}


@pytest.mark.usefixtures("answered")
async def test_dashboard_shows_one_store_under_its_name(client: httpx2.AsyncClient) -> None:
    await listed(client, "old Arbat", "A-77")
    shown = (await client.get("/")).text
    assert "Arbat street" in shown
    assert "old Arbat" not in shown
    chosen = (await client.get("/", params={"segment": "store:old Arbat"})).text
    assert "Store: Arbat street" in chosen
    assert 'class="picked"' in chosen


async def test_dashboard_names_the_store_of_a_comment_and_counts_its_suspects(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await listed(client, "old Arbat")
    for store in ("Arbat", "old Arbat"):
        await answer_all(scoring, [4] * 20, segments={"store": store})
        await scoring.score(await scoring.asked(segments={"store": store}), 2, comment=f"Cold coffee at {store}.")
        await scoring.score(await scoring.asked(segments={"store": store}), 9)
    await scoring.rows("UPDATE answers SET suspect = true WHERE score = 9")
    shown = (await client.get("/", params={"segment": "store:77"})).text
    assert shown.count("Arbat street, today") == 2
    assert "With the 2 that" in shown
