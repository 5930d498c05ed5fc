"""Who asks for what is so already changes nothing: no row, no time, and no list names them as who did it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx2
import pytest

from shared.contract.vocabulary import Role
from tests.audit import ended
from tests.integration.scoring.answer_page.test_suspects import BOT, mailed
from tests.integration.scoring.dashboard.test_tags import commented
from tests.integration.scoring.people.conftest import Open, invited, joined
from tests.integration.scoring.people.test_keys_page import key_of
from tests.integration.scoring.people.test_last_acts import BENCHMARK, said
from tests.integration.scoring.stand import Scoring, link_of
from tests.integration.scoring.stores.test_pages import form_of, save
from tests.staff_pages import done_on

_TABLES = (
    "api_keys",
    "webhook_endpoints",
    "people",
    "staff_sessions",
    "stores",
    "targets",
    "benchmarks",
    "annotations",
    "answers",
    "answer_tags",
    "desk_pauses",
)
UNCHANGED = "Nothing was changed: it was so already."


@pytest.fixture
async def boris(opened: Open, web: httpx2.AsyncClient, scoring: Scoring) -> AsyncIterator[httpx2.AsyncClient]:
    """A second administrator, after `web` was opened by Anna."""
    await joined(web, scoring, "anna", *Role)
    async with opened() as client:
        await joined(client, scoring, "boris", *Role)
        yield client


async def stored(scoring: Scoring) -> dict[str, list[str]]:
    rows = {table: await scoring.rows(f"SELECT t::text AS row FROM {table} t") for table in _TABLES}  # noqa: S608 - constants of this file
    return {table: sorted(each["row"] for each in found) for table, found in rows.items()}


class Repeated:
    """Lets Anna do something, and Boris the same."""

    def __init__(self, scoring: Scoring, anna: httpx2.AsyncClient, boris: httpx2.AsyncClient) -> None:
        self.scoring, self.anna, self.boris = scoring, anna, boris

    async def twice(self, path: str, **fields: str) -> httpx2.Response:
        first = await self.anna.post(path, data=fields)
        assert first.status_code < 400, (path, first.text)
        assert '"stored":false' not in (await ended(self.scoring.database))[-1][2], path
        return await self.again(path, **fields)

    async def again(self, path: str, **fields: str) -> httpx2.Response:
        """Let Boris do what is so already."""
        before = await stored(self.scoring)
        repeated = await self.boris.post(path, data=fields)
        assert repeated.status_code < 400, (path, repeated.text)
        assert await stored(self.scoring) == before, path
        assert '"stored":false' in (await ended(self.scoring.database))[-1][2], path
        return repeated


@pytest.fixture
def act(scoring: Scoring, web: httpx2.AsyncClient, boris: httpx2.AsyncClient) -> Repeated:
    return Repeated(scoring, web, boris)


async def test_key_that_was_revoked_names_who_revoked_it_first(act: Repeated) -> None:
    id_, _ = await key_of(act.scoring, "bi")
    page = await act.boris.get((await act.twice(f"/keys/scoring/{id_}/revoke")).headers["location"])
    assert done_on(page.text) == UNCHANGED
    assert "by Anna Petrova" in page.text
    assert ", by you" not in page.text


async def test_webhook_that_is_off_or_on_is_left_as_it_is(act: Repeated) -> None:
    id_ = (await act.anna.post("/v1/webhooks", json={"url": "https://93.184.216.34/hook"})).json()["id"]
    for press in ("disable", "enable"):
        await act.twice(f"/v1/webhooks/{id_}/{press}")
    [listed] = (await act.boris.get("/v1/webhooks")).json()
    assert listed["changed"]["by"] == "by Anna Petrova"
    replayed = await act.boris.post(f"/v1/webhooks/{id_}/replay", json={"since": "2026-11-01T00:00:00Z"})
    assert replayed.json() == {"deliveries": 0}
    [listed] = (await act.boris.get("/v1/webhooks")).json()
    assert listed["changed"]["by"] == "by Anna Petrova"


async def test_person_who_is_so_already_is_not_changed_again(act: Repeated) -> None:
    oleg = (await invited(act.scoring, "oleg", Role.OPERATOR)).person
    page, fields = f"/people/{oleg.id}", {"name": "Oleg Orlov", "role": "operator"}
    await act.twice(page, **fields)
    for press in ("off", "on"):
        repeated = await act.twice(f"{page}/{press}")
        assert done_on((await act.boris.get(repeated.headers["location"])).text) == UNCHANGED
    for press in ("codes/remove", "sessions/end"):
        await act.again(f"{page}/{press}")
    await act.again(f"/account/sessions/{uuid4()}/end")
    assert "turned on by Anna Petrova" in await said(act.boris, "/people")


async def test_figures_are_compared_with_what_was_set_first(act: Repeated) -> None:
    await act.scoring.score(await act.scoring.asked(), 9)
    await act.twice("/target", program="after-purchase", nps="50")
    await act.twice("/benchmarks", **BENCHMARK)
    assert await said(act.boris, "/?days=30") == ["Target set by Anna Petrova", "saved by Anna Petrova"]
    before = await ended(act.scoring.database)
    await act.boris.put("/v1/benchmarks/A rival", json={"nps": 40, "source": "A report"})
    assert [row[2] for row in (await ended(act.scoring.database))[len(before) :]] == ['{"stored":false}']
    await act.twice("/benchmarks/remove", name="A rival")
    await act.twice("/target", program="after-purchase")
    await act.anna.post("/annotations", data={"day": "2026-11-17", "text": "New courier"})
    [marked] = await act.scoring.rows("SELECT id FROM annotations")
    await act.twice(f"/annotations/{marked['id']}/remove")


async def test_store_that_is_so_already_names_who_saved_it_first(act: Repeated) -> None:
    await save(act.anna, code="77", name="Arbat")
    form = await form_of(act.boris, "77")
    await act.again("/stores/edit", **form)
    await act.twice("/stores/spelling", value="old Arbat", store="77")
    assert "changed by Anna Petrova" in await said(act.boris, "/stores")
    form = await form_of(act.anna, "77")
    await act.anna.post("/stores/delete", data={"code": "77", "version": form["version"]})
    await act.again("/stores/delete", code="77")


async def test_comment_and_answer_keep_who_decided_first(act: Repeated) -> None:
    _, answer = await commented(act.scoring, "Late")
    for press in ("tag", "untag"):
        await act.twice(f"/comments/{answer}/{press}", tag="courier", back="/comments")
    await act.anna.post(f"/comments/{answer}/tag", data={"tag": "courier", "back": "/comments"})
    await act.again("/tags/rename", tag="courier", to="courier")
    await act.twice("/tags/drop", tag="courier")
    await act.anna.post(link_of((await mailed(act.scoring)).invitation_id), data={"score": "3"}, headers=BOT)
    suspect: UUID = (await act.scoring.rows("SELECT answer_id FROM answers WHERE suspect"))[0]["answer_id"]
    await act.twice(f"/suspects/{suspect}/confirm")
    [line] = await said(act.boris, "/suspects")
    assert line.endswith("by Anna Petrova")


async def test_pause_that_has_begun_or_ended_is_left_as_it_is(act: Repeated) -> None:
    for press in ("pause", "resume"):
        await act.boris.post(f"/desk/{press}")
        await act.again(f"/desk/{press}")
