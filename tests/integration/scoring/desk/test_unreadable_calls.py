"""A call whose survey this release cannot read is passed over and reported, and waits for a release that can."""

from __future__ import annotations

from uuid import UUID

import httpx2
import pytest

from tests.integration.scoring.stand import NOW, Scoring, call_for, take
from tests.integration.scoring.test_bad_input import counted

BROKEN_SURVEY = """UPDATE invitations SET occasion = '{}' WHERE id IN
(SELECT invitation_id FROM call_tasks WHERE task_id = $1)"""
BROKEN_CONTENT = """UPDATE contents SET document = '{"plan": 7}' WHERE digest IN
(SELECT content FROM invitations WHERE id IN (SELECT invitation_id FROM call_tasks WHERE task_id = $1))"""
BROKEN_CALL = "UPDATE call_tasks SET kind = 'hologram' WHERE task_id = $1"
KINDS = [
    (BROKEN_SURVEY, "stored_invitation"),
    (BROKEN_CONTENT, "stored_invitation"),
    (BROKEN_CALL, "stored_call"),
]


async def on_desk_in_order(scoring: Scoring, count: int) -> list[UUID]:
    """Bring calls to the desk that are taken in this order."""
    calls = [
        call_for(await scoring.asked(question=f"Question {number}?"), priority=9 - number) for number in range(count)
    ]
    await scoring.receive(*calls)
    return [each.task_id for each in calls]


async def leased(scoring: Scoring, task_id: UUID) -> str | None:
    [row] = await scoring.rows("SELECT leased_by FROM call_tasks WHERE task_id = $1", task_id)
    name: str | None = row["leased_by"]
    return name


@pytest.mark.parametrize(("broken", "kind"), KINDS)
async def test_next_call_is_the_first_that_can_be_read(
    broken: str, kind: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    bad, good = await on_desk_in_order(scoring, 2)
    await scoring.rows(broken, bad)
    before = counted(kind)
    for _ in range(2):
        assert (await take(client) or {})["task_id"] == str(good)
    assert counted(kind) > before
    assert await leased(scoring, bad) is None
    assert await take(client, "Boris") is None


@pytest.mark.parametrize(("broken", "kind"), KINDS)
async def test_operator_who_has_a_call_of_another_release_keeps_it_and_gets_the_next(
    broken: str, kind: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    bad, good = await on_desk_in_order(scoring, 2)
    assert (await take(client) or {})["task_id"] == str(bad)
    await scoring.rows(broken, bad)
    before = counted(kind)
    assert (await take(client) or {})["task_id"] == str(good)
    assert counted(kind) > before
    assert await leased(scoring, bad) == "Anna"


@pytest.mark.parametrize(("broken", "kind"), KINDS)
async def test_page_of_the_desk_goes_on_without_the_call(
    broken: str, kind: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    bad, good = await on_desk_in_order(scoring, 2)
    await scoring.rows(broken, bad)
    client.cookies.set("operator", "Anna")
    before = counted(kind)
    assert (await client.post("/desk/take")).headers["location"] == f"/desk/{good}"
    assert counted(kind) > before
    assert (await client.get("/desk")).status_code == 200
    chosen = await client.post("/desk/take", data={"task_id": str(bad)})
    assert chosen.headers["location"] == "/desk?said=unreadable"
    assert "cannot read it" in (await client.get("/desk?said=unreadable")).text
    for path in (f"/desk/{bad}", f"/desk?said=answered&task={bad}", f"/desk?noted=busy&task={bad}"):
        assert (await client.get(path)).status_code in {200, 303}


@pytest.mark.parametrize(("broken", "kind"), KINDS)
async def test_page_that_is_open_on_the_call_fails_nowhere(
    broken: str, kind: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    [bad] = await on_desk_in_order(scoring, 1)
    client.cookies.set("operator", "Anna")
    await client.post("/desk/take")
    await scoring.rows(broken, bad)
    before = counted(kind)
    assert (await client.get(f"/desk/{bad}")).status_code == 303
    assert (await client.post(f"/desk/{bad}/keep")).status_code == 200
    lost = await client.post(f"/desk/{bad}/answer", data={"score": "9", "comment": "Good beans."})
    assert (lost.status_code, "Good beans." in lost.text) == (409, True)
    assert counted(kind) > before
    assert await leased(scoring, bad) == "Anna", "an answer that is typed can be saved by the release that shows it"


async def test_when_no_call_can_be_read_the_desk_says_so(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    [bad] = await on_desk_in_order(scoring, 1)
    await scoring.rows(BROKEN_SURVEY, bad)
    assert await take(client) is None
    client.cookies.set("operator", "Anna")
    assert (await client.post("/desk/take")).headers["location"] == "/desk?said=unreadable"
    [row] = await scoring.rows("SELECT state, due_at FROM call_tasks")
    assert (row["state"], row["due_at"]) == ("open", NOW)
