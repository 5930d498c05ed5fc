"""Lists say who changed an entry last, and when."""

from __future__ import annotations

import re

import httpx2
import pytest

from services.scoring.repository.people import accounts
from shared.contract.vocabulary import Role
from tests.integration.scoring.answer_page.test_suspects import BOT, mailed
from tests.integration.scoring.people.conftest import Open, joined
from tests.integration.scoring.stand import Scoring, link_of
from tests.integration.scoring.stores.test_pages import save

_WHEN = r"\d+ \w{3} \d{4}, \d\d:\d\d"
ANNOTATION = {"day": "2026-11-17", "text": "New courier"}
BENCHMARK = {"name": "A rival", "nps": "40", "source": "A report"}


@pytest.fixture
async def anna(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    await joined(web, scoring, "anna", *Role)
    return web


async def said(client: httpx2.AsyncClient, path: str) -> list[str]:
    """Return what a page says of who did what last, without the times."""
    page = re.sub(r"<[^>]*>", "\n", (await client.get(path)).text)
    return [f"{what} {by}" for what, by in re.findall(rf"(\w[\w ]*?) {_WHEN}, ([\w ]+)", page)] + [
        f"{what}, {by}" for what, by in re.findall(rf"{_WHEN}\n: ([^\n]*), ([\w ]+)", page)
    ]


async def test_lists_say_who_changed_an_entry_last(anna: httpx2.AsyncClient, opened: Open, scoring: Scoring) -> None:
    await scoring.score(await scoring.asked(), 9)
    assert await said(anna, "/stores") == []
    await anna.post("/annotations", data=ANNOTATION)
    await anna.post("/target", data={"program": "after-purchase", "nps": "50"})
    await anna.post("/benchmarks", data=BENCHMARK)
    await save(anna, code="77", name="Arbat")
    await anna.post("/people", data={"login": "oleg", "name": "Oleg Orlov", "role": "operator"})
    view = "/?days=30"
    assert await said(anna, view) == ["added by you", "Target set by you", "saved by you"]
    assert "changed by you" in await said(anna, "/stores")
    async with opened() as boris:
        await joined(boris, scoring, "boris", *Role)
        assert await said(boris, view) == [f"{what} by Anna Petrova" for what in ("added", "Target set", "saved")]
        assert "added by Anna Petrova" in await said(boris, "/people")
        await boris.post("/benchmarks", data=BENCHMARK | {"nps": "41"})
        refused = await boris.post("/stores/edit", data={"code": "77", "name": ""})
        assert refused.status_code == 422
    assert await said(anna, view) == ["added by you", "Target set by you", "saved by Boris Petrova"]
    assert "changed by you" in await said(anna, "/stores"), "what was refused is no change"
    await anna.post("/stores/import", files={"file": ("stores.csv", "code,name\n78,Tverskaya\n")})
    assert not [line for line in await said(anna, "/stores") if "imported" in line], "a file that was only checked"


async def test_decided_answers_are_listed_for_who_may_see_them(
    anna: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    request = await mailed(scoring)
    await anna.post(link_of(request.invitation_id), data={"score": "3"}, headers=BOT)
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    await anna.post(f"/suspects/{answer['answer_id']}/confirm")
    [line] = await said(anna, "/suspects")
    assert line.startswith("counted (3 of 10, ")
    assert line.endswith("by you")
    await save(anna, code="far", name="Far away")
    async with opened() as boris:
        await joined(boris, scoring, "boris", Role.SUPERVISOR)
        async with scoring.database.sessions.begin() as session:
            [person] = [each for each in await accounts.load_all(session) if each.login == "boris"]
        fields = {"name": person.name, "role": "supervisor", "sees": "part", "stores": "far", "version": person.version}
        assert (await anna.post(f"/people/{person.id}", data=fields)).status_code == 303
        shown = (await boris.get("/suspects")).text
    assert "Suspect answers" in shown
    assert "Anna Petrova" not in shown, "the answer is of another store"
