"""Calls that somebody has taken go back to the desk when their operator may not see them any more."""

from __future__ import annotations

import httpx2
import pytest

from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.domain.stores.store import Store
from services.scoring.people import accounts
from services.scoring.repository.stores import listed
from services.scoring.stores import saving
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.test_scopes import ARBAT, NEVSKY, enter_as
from tests.integration.scoring.stand import Scoring, call_for


async def given_back(scoring: Scoring) -> list[tuple[str, str]]:
    """Return the operator and the id of each call that the audit log says was given back."""
    rows = await scoring.rows("SELECT * FROM audit_log WHERE action LIKE '%/keep' ORDER BY number")
    assert {(row["stage"], row["actor_kind"]) for row in rows} <= {("ended", "person")}
    return [(row["actor"], row["subject"]) for row in rows]


PART = PersonScope(stores=frozenset({"A1"}))


@pytest.mark.parametrize(
    ("roles", "scope"),
    [((Role.OPERATOR,), PART), ((Role.MANAGER,), EVERYTHING), ((Role.MANAGER,), PART), ((), None)],
    ids=["scope", "role", "both", "off"],
)
async def test_calls_go_back_at_once_when_their_operator_may_not_take_them_any_more(
    roles: tuple[Role, ...], scope: PersonScope | None, web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    call = call_for(await scoring.asked(segments={"store": "Nevsky"}))
    await scoring.receive(call)
    person = await enter_as(web, scoring, Role.OPERATOR)
    await web.post("/desk/take")
    async with scoring.database.sessions.begin() as session:
        if scope is None:
            await accounts.turn(session, person, off=True)
        else:
            await accounts.change(session, person, name="Vera", roles=roles, scope=scope)
    [row] = await scoring.rows("SELECT leased_by, leased_by_id, lease_until FROM call_tasks")
    assert set(row.values()) == {None}
    assert await given_back(scoring) == [(str(person), str(call.task_id))]


async def test_calls_that_may_still_be_seen_stay_with_their_operator(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    moscow = PersonScope(regions=frozenset({"Moscow"}))
    await scoring.receive(call_for(await scoring.asked(segments={"store": "Arbat"})))
    person = await enter_as(web, scoring, Role.OPERATOR)
    task = (await web.post("/desk/take")).headers["location"]
    async with scoring.database.sessions.begin() as session:
        await accounts.change(session, person, name="Vera P", roles=[Role.SUPERVISOR], scope=moscow)
    assert await scoring.rows("SELECT 1 FROM call_tasks WHERE leased_by_id = $1", person)
    async with scoring.database.sessions.begin() as session:
        await saving.save(session, Store("A1", "Arbat", (), "North"), expected=lambda _: True)
    assert await given_back(scoring) == [(str(person), task.removeprefix("/desk/"))]


async def test_call_whose_page_notices_first_is_given_back_once_and_recorded(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    call = call_for(await scoring.asked(segments={"store": "Nevsky"}))
    await scoring.receive(call)
    person = await enter_as(web, scoring, Role.OPERATOR)
    task = (await web.post("/desk/take")).headers["location"]
    await scoring.rows("UPDATE people SET stores = '{A1}'")  # as the version before does, which leaves calls taken
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    for _ in range(2):
        assert (await web.post(f"{task}/keep")).json() == {"held": False, "holder": None, "there": None}
    assert await given_back(scoring) == [(str(person), str(call.task_id))]
