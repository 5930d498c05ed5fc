"""Days, targets and benchmarks are set on the dashboard itself."""

from __future__ import annotations

import httpx2
import pytest

from tests.integration.scoring.stand import NOW, Scoring
from tests.staff_pages import done_on, undo, without_done

HERE = {"back": "/?days=30"}


async def page_after(client: httpx2.AsyncClient, path: str, **sent: object) -> str:
    answer = await client.post(path, data={**HERE, **sent})
    assert (answer.status_code, answer.headers["location"]) == (303, HERE["back"])
    return without_done((await client.get(answer.headers["location"])).raise_for_status().text)


async def test_what_is_set_is_shown_and_can_be_taken_back(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(), 9)
    day = str(NOW.date())
    assert "New courier" in await page_after(client, "/annotations", program="", day=day, text="New courier")
    [note] = (await client.get("/v1/annotations")).json()
    assert note["program"] is None
    assert "New courier" not in await page_after(client, f"/annotations/{note['id']}/remove")
    assert 'value="45"' in await page_after(client, "/target", program="after-purchase", nps=45)
    assert 'value="45"' not in await page_after(client, "/target", program="after-purchase", nps="")
    rival = {"name": "A rival", "nps": -3, "source": "Their report of 2025"}
    assert "A rival" in await page_after(client, "/benchmarks", **rival)
    assert "A rival" not in await page_after(client, "/benchmarks/remove", name="A rival")


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "/desk", "/?a=1\n"])
async def test_form_leads_to_no_other_page(scoring: Scoring, client: httpx2.AsyncClient, back: str) -> None:
    sent = {"back": back, "name": "A rival", "nps": 1, "source": "x"}
    assert (await client.post("/benchmarks", data=sent)).status_code == 422
    assert await scoring.rows("SELECT 1 FROM benchmarks WHERE name = 'A rival'") == []


async def test_form_of_another_site_is_refused(client: httpx2.AsyncClient) -> None:
    sent = {"program": "after-purchase", "nps": "1"}
    answer = await client.post("/target", data=sent, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


async def test_annotation_that_was_removed_is_put_back(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(), 9)
    day = str(NOW.date())
    await client.post("/annotations", data={**HERE, "day": day, "text": "New <courier>"})
    page = (await client.get("/?days=30")).text
    assert done_on(page) == "You added the annotation New &lt;courier&gt;."
    assert "done" not in (await client.get("/suspects")).text, "another page does not say so"
    page = (await client.get("/")).text
    assert not done_on(page), "it was left"
    [note] = (await client.get("/v1/annotations")).json()
    await client.post(f"/annotations/{note['id']}/remove", data=HERE)
    page = (await client.get("/?days=30")).text
    assert done_on(page) == "You removed the annotation New &lt;courier&gt;."
    assert (await client.get("/v1/annotations")).json() == []
    back = await undo(client, page)
    assert back.headers["location"] == HERE["back"]
    page = (await client.get("/")).text
    assert done_on(page) == "Undone: “You removed the annotation New &lt;courier&gt;.”"
    assert ">Do it again<" in page
    assert ">Undo<" not in page
    await undo(client, page)
    page = (await client.get("/")).text
    assert done_on(page) == "You removed the annotation New &lt;courier&gt;."
    await undo(client, page)
    [note] = (await client.get("/v1/annotations")).json()
    assert (note["text"], note["day"], note["program"]) == ("New <courier>", day, None)


async def test_target_and_benchmark_go_back_to_what_they_were(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(), 9)
    rival, program = {"name": "A rival", "source": "A report"}, {"program": "after-purchase"}
    for nps in (40, 45):
        await client.post("/target", data={**program, "nps": nps})
    await undo(client, (await client.get("/")).text)
    assert await scoring.rows("SELECT nps FROM targets") == [{"nps": 40}]
    for nps in (1, 2):
        await client.post("/benchmarks", data={**rival, "nps": nps})
    await undo(client, (await client.get("/")).text)
    await client.post("/benchmarks/remove", data={"name": "A rival"})
    await undo(client, (await client.get("/")).text)
    assert await scoring.rows("SELECT nps FROM benchmarks WHERE name = 'A rival'") == [{"nps": 1}]


async def test_nothing_is_undone_that_was_changed_meanwhile(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(), 9)
    rival, program = {"name": "A rival", "nps": 1, "source": "A report"}, {"program": "after-purchase"}
    pages = []
    for path, data in (("/target", {**program, "nps": 40}), ("/benchmarks", rival)):
        await client.post(path, data=data)
        pages.append((await client.get("/")).text)
        await client.post(path, data={**data, "nps": 50})
    for page in pages:
        refused = await undo(client, page)
        assert (refused.status_code, refused.json()["title"]) == (409, "It was changed meanwhile")
    assert await scoring.rows("SELECT nps FROM targets") == [{"nps": 50}]
    assert await scoring.rows("SELECT nps FROM benchmarks WHERE name = 'A rival'") == [{"nps": 50}]
