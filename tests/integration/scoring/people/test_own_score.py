"""An employee's own score: by the codes of the account, from 30 answers on, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.domain.employees import FEWEST_ANSWERS
from services.scoring.people import accounts
from shared.contract.vocabulary import Role
from tests.integration.scoring.api.test_employees import PROGRAM, count_employees
from tests.integration.scoring.people.conftest import PASSWORD
from tests.integration.scoring.stand import NOW, Scoring

PROGRAM_ASKS = {"accept": "application/json"}  # a browser is sent to another page


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> ScoringSettings:
    return ScoringSettings(_env_file=None, employee_figures=getattr(request, "param", True))


async def enter_as(web: httpx2.AsyncClient, scoring: Scoring, codes: str, *roles: Role) -> None:
    async with scoring.database.sessions.begin() as session:
        invited = await accounts.add(session, login="elena", name="Elena", roles=roles, employees=codes)
    await web.post(invited.url(""), data={"password": PASSWORD, "again": PASSWORD})


@pytest.mark.parametrize(
    ("codes", "shown", "hidden"),
    [
        ("seller-7", ["+100", ">30<"], ["seller-8", "Fewer than"]),
        ("seller-8", ["Fewer than 30 answers"], ["+100", ">29<", "seller-7"]),
        ("seller-7, seller-8", [">59<"], ["Fewer than"]),
        ("seller-9", ["There are no answers"], ["+100"]),
        ("", ["no employee code yet"], ["+100"]),
    ],
)
async def test_employee_sees_the_own_score_and_nothing_else(
    web: httpx2.AsyncClient, scoring: Scoring, codes: str, shown: list[str], hidden: list[str]
) -> None:
    await count_employees(scoring, {"seller-7": FEWEST_ANSWERS, "seller-8": FEWEST_ANSWERS - 1})
    scoring.clock.moment = NOW + timedelta(days=30)  # the next month
    await enter_as(web, scoring, codes, Role.EMPLOYEE)
    page = (await web.get("/mine")).raise_for_status().text
    assert {text: text in page for text in shown + hidden} == dict.fromkeys(shown, True) | dict.fromkeys(hidden, False)
    for path in ("/?by=employee", PROGRAM, "/v1/answers", "/stores", "/suspects", "/desk", "/people"):
        assert (await web.get(path, headers=PROGRAM_ASKS)).status_code == 403, path


async def test_own_score_changes_with_the_month_alone(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await count_employees(scoring, {"seller-7": FEWEST_ANSWERS})
    await enter_as(web, scoring, "seller-7", Role.EMPLOYEE)
    assert "There are no answers of the last three whole months" in (await web.get("/mine")).text


@pytest.mark.parametrize("settings", [False], indirect=True)
async def test_own_score_is_off_by_default(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await enter_as(web, scoring, "seller-7", Role.EMPLOYEE)
    assert "Scores per employee are not counted here" in (await web.get("/mine")).text


async def test_codes_without_the_role_open_no_page(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await enter_as(web, scoring, "seller-7", *(role for role in Role if role is not Role.EMPLOYEE))
    assert (await web.get("/mine", headers=PROGRAM_ASKS)).status_code == 403
