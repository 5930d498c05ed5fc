"""Operators are known by their account: who is renamed keeps what is theirs, and who gets the freed name gets none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from uuid_utils.compat import uuid7

from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.people import accounts
from shared.contract.api_keys import KeyScope, NewKey, digest
from shared.contract.vocabulary import Role
from shared.database import api_keys
from tests.integration.scoring.desk.test_team import shown, words_of
from tests.integration.scoring.people.conftest import PASSWORD, Open
from tests.integration.scoring.stand import Scoring, on_desk, take

PHONE = "+7 916 123-45-67"


@dataclass
class Desk:
    """Anna at the call desk, and a supervisor."""

    scoring: Scoring
    opened: Open
    browsers: AsyncExitStack
    names: int = 0

    async def enter(self, name: str, role: Role = Role.OPERATOR) -> tuple[httpx2.AsyncClient, UUID]:
        browser = await self.browsers.enter_async_context(self.opened())
        self.names += 1
        async with self.scoring.database.sessions.begin() as session:
            invited = await accounts.add(session, login=f"login-{self.names}", name=name, roles=[role])
        await browser.post(invited.url(""), data={"password": PASSWORD, "again": PASSWORD})
        return browser, invited.person.id

    async def change(self, person: UUID, name: str, scope: PersonScope = EVERYTHING) -> None:
        async with self.scoring.database.sessions.begin() as session:
            await accounts.change(session, person, name=name, roles=[Role.OPERATOR], scope=scope)

    async def rename(self, person: UUID) -> httpx2.AsyncClient:
        """Rename Anna to Anne; return the browser of another operator, who gets the name Anna."""
        await self.change(person, "Anne")
        other, _ = await self.enter("Anna")
        return other


@pytest.fixture
async def desk(scoring: Scoring, opened: Open) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as browsers:
        yield Desk(scoring, opened, browsers)


async def save(browser: httpx2.AsyncClient, task: str, score: int) -> str:
    """Save an answer; return where that leads."""
    return (await browser.post(f"{task}/answer", data={"score": str(score)})).headers.get("location", "")


async def test_call_stays_with_who_was_renamed_in_the_middle_of_it(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    task = (await anna.post("/desk/take")).headers["location"]
    other = await desk.rename(person)
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    assert PHONE not in (await other.get(task, follow_redirects=True)).text
    assert (await other.post(f"{task}/keep")).json()["holder"] == "Anne"
    assert await save(other, task, 1) == ""
    assert (await other.post(f"{task}/outcome", data={"disposition": "refused"})).status_code == 409
    assert (await other.post("/desk/take")).headers["location"] == "/desk?said=none"
    assert "Anne on a call" in await shown(supervisor)
    assert PHONE in (await anna.get(task)).text
    assert (await anna.post(f"{task}/keep")).json()["held"]
    assert (await anna.post("/desk/take")).headers["location"] == task
    assert (await save(anna, task, 9)).startswith("/desk?said=answered")
    assert await scoring.rows("SELECT score, operator FROM answers") == [{"score": 9, "operator": "Anne"}]


async def test_only_who_saved_an_answer_corrects_it_by_whatever_name(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    task = (await anna.post("/desk/take")).headers["location"]
    done = await save(anna, task, 9)
    other = await desk.rename(person)
    assert ("Correct it" in (await anna.get(done)).text, "Correct it" in (await other.get(done)).text) == (True, False)
    assert PHONE not in (await other.get(task, follow_redirects=True)).text
    assert await save(other, task, 1) == ""
    assert (await save(anna, task, 8)).startswith("/desk?said=answered")
    assert await scoring.rows("SELECT score, version FROM answers") == [{"score": 8, "version": 2}]


async def test_report_that_is_sent_again_after_a_rename_changes_nothing(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    task = (await anna.post("/desk/take")).headers["location"]
    said = {"disposition": "no_answer"}
    await anna.post(f"{task}/outcome", data=said)
    other = await desk.rename(person)
    assert (await anna.post(f"{task}/outcome", data=said)).status_code == 303
    assert (await other.post(f"{task}/outcome", data=said)).status_code == 409
    assert await scoring.rows("SELECT operator FROM call_attempts") == [{"operator": "Anna"}]


async def test_pause_stays_with_who_was_renamed(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    await anna.post("/desk/pause")
    other = await desk.rename(person)
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    assert "Anne pause since" in await shown(supervisor)
    assert (await anna.post("/desk/take")).headers["location"] == "/desk?said=paused"
    assert "You pause since" not in (await other.get("/desk")).text
    await asyncio.gather(*(other.post("/desk/pause") for _ in range(3)))
    assert "You pause since" in (await other.get("/desk")).text
    page = await shown(supervisor)
    assert ("Anna pause since" in page, "Anne pause since" in page) == (True, True)
    await other.post("/desk/resume")
    assert "You pause since" in (await anna.get("/desk")).text
    await anna.post("/desk/resume")
    assert (await anna.post("/desk/take")).headers["location"].startswith("/desk/")


async def test_statistics_follow_the_account_and_say_its_name_of_today(desk: Desk, scoring: Scoring) -> None:
    anna, person = await desk.enter("Anna")
    for score in (9, 10):
        await on_desk(scoring)
        await save(anna, (await anna.post("/desk/take")).headers["location"], score)
    other = await desk.rename(person)
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    await on_desk(scoring)
    await save(anna, (await anna.post("/desk/take")).headers["location"], 8)
    await on_desk(scoring)
    await save(other, (await other.post("/desk/take")).headers["location"], 1)
    assert ("3 calls" in (await anna.get("/desk")).text, "1 call" in (await other.get("/desk")).text) == (True, True)
    page = await shown(supervisor)
    assert re.findall(r"(Ann[ae]) ready, .*? (\d calls?),", page) == [("Anna", "1 call"), ("Anne", "3 calls")]
    figures = (await supervisor.get("/desk-team/figures")).text
    assert re.findall(r'<th scope="row">(Ann[ae])</th><td class="number">(\d)<', figures) == [
        ("Anna", "1"),
        ("Anne", "3"),
    ]
    assert re.findall(r"(Ann[ae])\s+(\d) answers?", words_of(figures)) == [("Anna", "1"), ("Anne", "3")]


async def test_attempts_keep_the_name_of_their_time(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    task = (await anna.post("/desk/take")).headers["location"]
    await anna.post(f"{task}/outcome", data={"disposition": "call_later", "minutes": "15"})
    other = await desk.rename(person)
    scoring.clock.moment += timedelta(hours=1)
    await other.post("/desk/take")
    assert re.search(r"today 12:00, Anna: call later", words_of((await other.get(task)).text), re.IGNORECASE)


async def test_call_is_taken_over_from_the_operator_of_the_page_though_she_was_renamed(
    desk: Desk, scoring: Scoring
) -> None:
    task_id = await on_desk(scoring)
    anna, person = await desk.enter("Anna")
    await anna.post("/desk/take")
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    other = await desk.rename(person)
    form = {"task_id": str(task_id), "operator": str(person)}
    assert (await other.post("/desk/take")).headers["location"] == "/desk?said=none"
    assert (await supervisor.post("/desk-team/take-over", data=form)).headers["location"] == f"/desk/{task_id}"
    assert "You took this call over from Anne" in (await supervisor.get(f"/desk/{task_id}")).text
    assert (await anna.post(f"/desk/{task_id}/keep")).json() == {"held": False, "holder": "Vera", "there": "15:00"}


async def key_of(scoring: Scoring, name: str) -> dict[str, str]:
    """Return the headers of a new key that names operators."""
    token = f"esk_s_{name}"
    key = NewKey(uuid7(), name, digest(token), frozenset({KeyScope.DESK_WORK}), None)
    async with scoring.database.sessions.begin() as session:
        await api_keys.add(session, key)
    return {"authorization": f"Bearer {token}"}


async def test_operators_whom_a_key_names_are_no_people_and_not_those_of_another_key(
    desk: Desk, scoring: Scoring
) -> None:
    await on_desk(scoring)
    north, south = await key_of(scoring, "north"), await key_of(scoring, "south")
    anna, _ = await desk.enter("Anna")
    async with desk.opened() as web:

        async def answer(task: object, headers: dict[str, str], operator: str = "Anna") -> int:
            said = {"operator": operator, "score": 9}
            return (await web.post(f"/v1/desk/{task}/answer", json=said, headers=headers)).status_code

        taken = await web.post("/v1/desk/take", json={"operator": "Anna"}, headers=north)
        task = taken.json()["task_id"]
        assert await save(anna, f"/desk/{task}", 1) == ""
        assert (await answer(task, south), await answer(task, north, "Boris")) == (409, 409)
        assert (await answer(task, north), await answer(task, north)) == (200, 200)
        assert await save(anna, f"/desk/{task}", 1) == ""
    assert "0 calls" in (await anna.get("/desk")).text
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    assert "Anna ready, between calls" in await shown(supervisor)


async def test_program_goes_on_with_a_call_that_the_version_before_gave_it(
    scoring: Scoring, client: httpx2.AsyncClient, desk: Desk
) -> None:
    task_id = await on_desk(scoring)
    anna, _ = await desk.enter("Anne")
    await scoring.rows("UPDATE call_tasks SET leased_by = 'Anna', lease_until = clock_timestamp() + interval '1 hour'")
    assert (await take(client) or {})["task_id"] == str(task_id)
    await scoring.rows("UPDATE call_tasks SET leased_by = 'Boris'")
    said = {"operator": "Boris", "score": 9}
    assert (await client.post(f"/v1/desk/{task_id}/answer", json=said)).status_code == 200
    assert await save(anna, f"/desk/{task_id}", 1) == ""


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR])
async def test_call_that_its_operator_no_longer_sees_is_given_back(role: Role, desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, person = await desk.enter("Anna", role)
    supervisor, _ = await desk.enter("Vera", Role.SUPERVISOR)
    task = (await anna.post("/desk/take")).headers["location"]
    assert "Anna on a call" in await shown(supervisor)
    await desk.change(person, "Anna", PersonScope(programs=frozenset({"another"})))
    assert not (await anna.post(f"{task}/keep")).json()["held"]
    page = await shown(supervisor)
    assert ("Anna on a call" in page, "Waiting now 1" in page) == (False, True)
    assert (await supervisor.post("/desk/take")).headers["location"] == task


async def test_call_of_another_is_not_given_back(desk: Desk, scoring: Scoring) -> None:
    await on_desk(scoring)
    anna, _ = await desk.enter("Anna")
    task = (await anna.post("/desk/take")).headers["location"]
    other, person = await desk.enter("Boris")
    await desk.change(person, "Boris", PersonScope(programs=frozenset({"another"})))
    assert not (await other.post(f"{task}/keep")).json()["held"]
    assert (await anna.post(f"{task}/keep")).json()["held"]
