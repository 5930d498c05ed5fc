"""Scores per employee: off by default, from 30 answers on, for managers, and never published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest

from deploy.program_ticket import ProgramTicket
from services.scoring.config import ScoringSettings
from services.scoring.domain.employees import FEWEST_ANSWERS
from services.scoring.handlers import Handlers
from services.scoring.main import build_app
from shared.config import Settings
from shared.contract.events import NpsUpdated
from shared.contract.vocabulary import Role
from tests.integration.scoring.stand import NOW, SECRETS, Scoring, answer_all, differences

PROGRAM = "/v1/nps?program=after-purchase"
OF_SEVEN = "segment=employee:e-7"


@asynccontextmanager
async def pages(
    scoring: Scoring, roles: Collection[Role], *, counted: bool = True
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = ScoringSettings(_env_file=None, employee_figures=counted)
    transport = httpx2.ASGITransport(build_app(settings, database=scoring.database, clock=scoring.clock))
    auth = ProgramTicket(Settings(_env_file=None), name="Olga of the tests", roles=roles)
    async with httpx2.AsyncClient(auth=auth, transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def count_employees(scoring: Scoring, answers: Mapping[str, int], *, counted: bool = True) -> None:
    scoring.handlers = Handlers(link_secrets=SECRETS, clock=scoring.clock, employees=counted)
    for employee, number in answers.items():
        await answer_all(scoring, [9] * number, segments={"store": "Arbat", "employee": employee})


async def test_nothing_is_counted_per_employee_by_default(scoring: Scoring) -> None:
    await count_employees(scoring, {"e-7": FEWEST_ANSWERS}, counted=False)
    assert await scoring.rows("SELECT 1 FROM buckets WHERE dimension = 'employee'") == []
    assert await scoring.rows("SELECT 1 FROM dimension_values WHERE dimension = 'employee'") == []


async def test_manager_sees_employees_with_enough_answers(scoring: Scoring) -> None:
    await count_employees(scoring, {"e-7": FEWEST_ANSWERS, "e-8": FEWEST_ANSWERS - 1})
    assert await differences(scoring) == []
    async with pages(scoring, {Role.MANAGER}) as client:
        by_employee = (await client.get(f"{PROGRAM}&by=employee")).json()
        assert [(each["value"], each["n"]) for each in by_employee["series"]] == [("e-7", FEWEST_ANSWERS)]
        crossed = (await client.get(f"{PROGRAM}&by=store,employee")).json()
        assert [each["values"] for each in crossed["series"]] == [["Arbat", "e-7"]]
        assert (await client.get(f"{PROGRAM}&{OF_SEVEN}")).json()["series"][0]["n"] == FEWEST_ANSWERS
        for path in (PROGRAM, "/v1/funnel?program=after-purchase", "/v1/returns?program=after-purchase"):
            refused = await client.get(f"{path}&segment=employee:e-8")
            assert (refused.status_code, "30 answers" in refused.text) == (422, True)
            assert (await client.get(f"{path}&{OF_SEVEN}")).status_code == 200
        page = (await client.get("/?by=employee")).text
        assert ("Scores by employee" in page, "e-7" in page, "e-8" in page) == (True, True, False)
        assert 'class="row chosen"' in (await client.get(f"/?{OF_SEVEN}")).text
        assert 'class="row chosen"' not in (await client.get("/?segment=employee:e-8")).text


@pytest.mark.parametrize(
    ("roles", "counted"), [({Role.ANALYST, Role.SUPERVISOR, Role.PRIVACY_OFFICER}, True), ({Role.MANAGER}, False)]
)
async def test_nobody_else_sees_employees_nor_what_was_counted_before(
    scoring: Scoring, roles: set[Role], *, counted: bool
) -> None:
    await count_employees(scoring, {"e-7": FEWEST_ANSWERS})
    async with pages(scoring, roles, counted=counted) as client:
        for asked in ("by=employee", "by=store,employee", OF_SEVEN):
            refused = await client.get(f"{PROGRAM}&{asked}")
            assert (refused.status_code, "No such dimension: employee" in refused.text) == (422, True)
        assert (await client.get(f"/v1/funnel?program=after-purchase&{OF_SEVEN}")).status_code == 422
        page = await client.get(f"/?by=employee&{OF_SEVEN}")
        assert (page.status_code, 'class="row chosen"' in page.text) == (200, False)
        assert ("Scores by store" in page.text, "Scores by employee" in page.text) == (True, False)


async def test_audit_log_says_who_looked_at_employees(scoring: Scoring) -> None:
    await count_employees(scoring, {"e-7": FEWEST_ANSWERS})
    async with pages(scoring, {Role.MANAGER}) as client:
        for path in ("/?by=store", "/?by=employe%65", f"{PROGRAM}&{OF_SEVEN}"):
            await client.get(path)
    rows = await scoring.rows("SELECT action, details FROM audit_log WHERE stage = 'asked' ORDER BY number")
    looked = [(each["action"], "employee" in str(each["details"])) for each in rows]
    assert looked == [("GET /", True), ("GET /v1/nps", True)]
    assert "employee:e-7" in str(rows[1]["details"])


async def test_scores_of_employees_leave_no_installation(scoring: Scoring) -> None:
    await count_employees(scoring, {"e-7": FEWEST_ANSWERS})
    scoring.clock.moment = NOW + timedelta(days=1)
    await scoring.tick()
    updates = [event.payload for event in await scoring.published(NpsUpdated.type)]
    dimensions = {each.dimension for each in updates if isinstance(each, NpsUpdated)}
    assert {"all", "store"} <= dimensions
    assert "employee" not in dimensions
    assert await scoring.rows("SELECT 1 FROM nps_v WHERE dimension = 'employee'") == []
    assert await scoring.rows("SELECT 1 FROM nps_v WHERE dimension = 'store' LIMIT 1") != []
