"""Who sees the supervisor's page, and which operators and calls on it."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2

from shared.contract.events import ProgramRef
from shared.contract.vocabulary import Role
from tests.integration.scoring.desk.test_team import report, shown
from tests.integration.scoring.people.test_scopes import enter_as
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take

BANK = ProgramRef(id="bank", version=1, title="Bank")


async def test_supervisor_sees_the_operators_and_calls_of_her_programs(
    web: httpx2.AsyncClient, client: httpx2.AsyncClient, scoring: Scoring
) -> None:
    request = await scoring.asked(program=BANK, segments={"store": "Nevsky"})
    hidden = call_for(request, name="Ivan Hidden")
    await scoring.receive(hidden)
    await take(client, "Hermine")
    task_id = await on_desk(scoring)
    await take(client)
    await report(client, task_id, "Anna", "no_answer")
    await enter_as(web, scoring, Role.SUPERVISOR, programs={"after-purchase"})
    page = await shown(web)
    assert "Anna ready" in page
    assert not {"Hermine", "Ivan", "Bank", "Nevsky"} & set(re.findall(r"\w+", page))
    refused = await web.post("/desk-team/take-over", data={"task_id": str(hidden.task_id), "operator": "Hermine"})
    assert "there is no such call" in refused.text
    await report(client, hidden.task_id, "Hermine", "busy")
    scoring.clock.moment += timedelta(minutes=15)
    assert await take(client, "Anna")
    assert "Anna on a call that you do not see" in await shown(web)


async def test_operators_do_not_see_the_page(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await enter_as(web, scoring, Role.OPERATOR)
    assert (await web.get("/desk-team", headers={"accept": "*/*"})).status_code == 403
    assert (await web.post("/desk-team/take-over")).status_code == 403


async def test_figures_are_of_her_programs_and_reading_them_is_in_the_audit_log(
    web: httpx2.AsyncClient, client: httpx2.AsyncClient, scoring: Scoring
) -> None:
    hidden = call_for(await scoring.asked(program=BANK))
    await scoring.receive(hidden)
    await take(client, "Hermine")
    await report(client, hidden.task_id, "Hermine", "refused")
    person = await enter_as(web, scoring, Role.SUPERVISOR, programs={"after-purchase"})
    page = (await web.get("/desk-team/figures")).text
    assert "There was no call of a survey." in page
    assert "Hermine" not in page
    read = await scoring.rows("SELECT actor FROM audit_log WHERE action = 'GET /desk-team/figures' AND stage = 'asked'")
    assert [row["actor"] for row in read] == [str(person)]
    assert (await client.get("/desk-team/figures")).text.count("Hermine") > 0


async def test_operators_do_not_see_the_figures(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await enter_as(web, scoring, Role.OPERATOR)
    assert (await web.get("/desk-team/figures", headers={"accept": "*/*"})).status_code == 403
