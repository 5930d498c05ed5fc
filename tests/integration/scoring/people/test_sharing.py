"""A shared link shows figures without a log-in, and nothing else, until it ends."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import httpx2
import pytest

from services.scoring.domain.people.scope import PersonScope
from services.scoring.domain.stores.store import Store
from services.scoring.people import accounts
from services.scoring.repository.stores import listed
from shared.contract.events import ProgramPublished
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import Open, enter, joined
from tests.integration.scoring.people.test_scopes import enter_as
from tests.integration.scoring.stand import Scoring, answer_all

LINK = re.compile(r'value="http://127\.0\.0\.1:8000(/shared/[\w-]{43})"')


@pytest.fixture
async def asked(scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [Store("A1", "Arbat"), Store("N1", "Nevsky")])
    await answer_all(scoring, [9] * 20 + [3] * 11, segments={"store": "Arbat", "employee": "Anna, Arbat"})
    await answer_all(scoring, [10] * 31, segments={"store": "Nevsky"})
    said = await scoring.asked(segments={"store": "Arbat"})
    await scoring.score(said, 2, comment="Olga was rude.", reasons=("wait",))


async def shared(web: httpx2.AsyncClient, view: str = "days=30") -> str:
    """Share a view; return the path of its link."""
    page = (await web.post("/shares", data={"view": view})).raise_for_status().text
    [path] = LINK.findall(page)
    return str(path)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("view", ["", "days=30", "group=detractor&reason=wait&comments=50&by=employee"])
async def test_link_shows_figures_and_no_words_and_no_names(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, view: str
) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    path = await shared(web, view)
    async with opened() as stranger:
        page = await stranger.get(path)
    assert page.status_code == 200
    assert "63 answers" in page.text
    for hidden in ("Olga", "rude", "Anna", "Vera", 'href="/?', "<form"):
        assert hidden not in page.text, hidden
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in page.headers["x-robots-tag"]


@pytest.mark.usefixtures("asked")
async def test_lists_call_programs_by_their_titles(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "vera", Role.MANAGER, Role.ADMINISTRATOR)
    await scoring.receive(
        ProgramPublished(program_id="after-purchase", program_version=1, document={"title": "After a sale"})
    )
    await shared(web)
    assert ">After a sale</a>" in (await web.get("/shares")).text
    added = {"login": "anna", "name": "Anna", "role": "manager", "sees": "part", "program": "after-purchase"}
    assert (await web.post("/people", data=added)).status_code == 200
    assert "programs After a sale" in (await web.get("/people")).text


@pytest.mark.usefixtures("asked")
async def test_only_the_digest_of_a_link_is_stored_and_none_is_logged(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, capsys: pytest.CaptureFixture[str]
) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    path = await shared(web)
    secret = path.rpartition("/")[2]
    async with opened() as stranger:
        await stranger.get(path)
        await stranger.get(f"{path}x")
    [row] = await scoring.rows("SELECT * FROM shared_views")
    assert row["digest"] == hashlib.sha256(secret.encode()).digest()
    assert secret not in str({name: value for name, value in row.items() if name != "digest"})
    assert secret not in str(await scoring.rows("SELECT * FROM audit_log"))
    assert secret not in (await web.get("/shares")).text
    printed = capsys.readouterr()
    assert secret not in printed.out + printed.err


async def _edit(_scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    return path[:-1] + ("a" if path[-1] != "a" else "b")


async def _expire(scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    await scoring.rows("UPDATE shared_views SET expires_at = clock_timestamp() RETURNING id")
    return path


async def _revoke(_scoring: Scoring, web: httpx2.AsyncClient, path: str) -> str:
    [revoke] = re.findall(r'action="(/shares/[^"]*/revoke)"', (await web.get("/shares")).text)
    assert (await web.post(revoke)).status_code == 303
    assert (await web.post(revoke)).status_code == 404
    return path


async def _person(scoring: Scoring, path: str, **changes: Any) -> str:
    async with scoring.database.sessions.begin() as session:
        [row] = await scoring.rows("SELECT id FROM people WHERE login = 'vera'")
        fields: dict[str, Any] = {"name": "Vera", "roles": [Role.MANAGER], "scope": PersonScope()} | changes
        await accounts.change(session, row["id"], **fields)
    return path


async def _remove(scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    [row] = await scoring.rows("SELECT id FROM people WHERE login = 'vera'")
    async with scoring.database.sessions.begin() as session:
        await accounts.turn(session, row["id"], off=True)
    return path


async def _take_the_role(scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    return await _person(scoring, path, roles=[Role.OPERATOR])


async def _reduce_to_a_store(scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    return await _person(scoring, path, scope=PersonScope(stores=frozenset({"A1"})))


async def _take_the_program(scoring: Scoring, _web: httpx2.AsyncClient, path: str) -> str:
    return await _person(scoring, path, scope=PersonScope(programs=frozenset({"bank"})))


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    "end", [_edit, _expire, _revoke, _remove, _take_the_role, _reduce_to_a_store, _take_the_program]
)
async def test_link_that_has_ended_shows_nothing(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, end: Any
) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    path = await end(scoring, web, await shared(web))
    async with opened() as stranger:
        page = await stranger.get(path)
    assert page.status_code == 404
    assert "This link shows nothing any more" in page.text
    assert "63 answers" not in page.text


@pytest.mark.usefixtures("asked")
async def test_scope_bounds_what_is_shared_and_who_sees_the_link(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    await enter_as(web, scoring, Role.MANAGER, stores={"A1"})
    path = await shared(web, "segment=store:Nevsky&by=store")
    async with opened() as other:
        page = (await other.get(path)).text
        assert "Nevsky" not in page.replace("Store: Nevsky", "")
        assert "63 answers" not in page
        await enter_as(other, scoring, Role.MANAGER, login="nina", stores={"N1"})
        assert "Vera" not in (await other.get("/shares")).text
    async with opened() as third:
        await joined(third, scoring, "olga", Role.MANAGER)
        assert "Vera" in (await third.get("/shares")).text


@pytest.mark.usefixtures("asked")
async def test_figures_of_an_employee_are_not_shared_as_those_of_all(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    refused = await web.post("/shares", data={"view": "program=cafe&segment=employee:e-1"})
    assert (refused.status_code, "Figures of single employees are not shared" in refused.text) == (409, True)
    assert await scoring.rows("SELECT FROM shared_views") == []


@pytest.mark.usefixtures("asked")
async def test_who_may_not_set_measures_shares_nothing(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "vera", Role.SUPERVISOR)
    assert (await web.post("/shares", data={"view": ""})).status_code == 403
    assert "Share figures" not in (await web.get("/")).text


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("view", ["sort=zzz", "days=-1", "from=x", "group=nobody"])
async def test_wrong_view_is_refused(web: httpx2.AsyncClient, scoring: Scoring, view: str) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    assert (await web.post("/shares", data={"view": view})).status_code == 422


@pytest.mark.usefixtures("asked")
async def test_address_of_a_view_asks_for_a_log_in_and_keeps_the_view(
    opened: Open, web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await joined(web, scoring, "vera", Role.MANAGER)
    async with opened() as stranger:
        asked_to = await stranger.get("/?days=7&by=store&sort=nps")
        assert asked_to.status_code == 307
        entered = await enter(stranger, "vera", **dict(httpx2.URL(asked_to.headers["location"]).params))
        assert entered.headers["location"] == "http://127.0.0.1:8000/?days=7&by=store&sort=nps"
