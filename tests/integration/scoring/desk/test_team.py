"""The supervisor's page: who is on which call, pauses, what waits, today by hour, and calls that are taken over."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx2
import pytest

from shared.contract.events import CallWithdrawn, RespondentErased
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.stand import Scoring, call_for, named, on_desk, take


def words_of(page: str) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", page)


async def shown(client: httpx2.AsyncClient) -> str:
    response = await client.get("/desk-team")
    assert response.status_code == 200
    return re.sub(r" +", " ", words_of(response.text))


async def report(client: httpx2.AsyncClient, task_id: object, operator: str, disposition: str) -> None:
    said = {"operator": operator, "disposition": disposition}
    assert (await client.post(f"/v1/desk/{task_id}/outcome", json=said)).status_code == 200


async def take_over(
    client: httpx2.AsyncClient, task_id: object, *, of: str = "Anna", by: str = "Vera"
) -> httpx2.Response:
    cookies = {"cookie": f"operator={by}"}
    form = {"task_id": str(task_id), "operator": str(named(of).id)}
    return await client.post("/desk-team/take-over", data=form, headers=cookies)


async def holders(scoring: Scoring) -> list[tuple[str | None, str | None]]:
    rows = await scoring.rows("SELECT leased_by, taken_from FROM call_tasks ORDER BY task_id")
    return [(row["leased_by"], row["taken_from"]) for row in rows]


async def test_no_call_at_all_is_said(client: httpx2.AsyncClient) -> None:
    page = await shown(client)
    for words in ("Nobody has called today", "There was no call today.", "Waiting now 0", "No call is due."):
        assert words in page


async def test_page_says_who_is_on_which_call_since_when(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await on_desk(scoring)
    await on_desk(scoring)
    await take(client)
    scoring.clock.moment += timedelta(minutes=4)
    await take(client)  # the page is loaded again
    page = await shown(client)
    assert "Anna on a call since today 12:00, 4 minutes" in page
    assert "Olga P. +7 ··· 67 · After purchase, Tverskaya" in page
    assert "Waiting now 1" in page


async def test_nobody_is_on_the_call_of_an_erased_customer(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    await take(client)
    assert "Anna on a call" in await shown(client)
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert "Nobody has called today" in await shown(client)


async def test_pause_is_a_state_that_gives_no_call_until_it_ends(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    client.cookies.set("operator", "Anna")
    for _ in range(2):  # pressed twice
        await client.post("/desk/pause")
    assert "You pause since today 12:00" in (await client.get("/desk")).text
    for chosen in ({}, {"task_id": str(task_id)}):
        refused = await client.post("/desk/take", data=chosen)
        assert refused.headers["location"] == "/desk?said=paused"
    assert await take(client) is None
    scoring.clock.moment += timedelta(minutes=12)
    assert "Anna pause since today 12:00, 12 minutes" in await shown(client)
    await client.post("/desk/resume")
    page = await shown(client)
    assert "Anna ready, between calls since today 12:12" in page
    assert "paused today: 12 minutes" in page
    assert (await take(client) or {})["task_id"] == str(task_id)
    assert len(await scoring.rows("SELECT 1 FROM desk_pauses WHERE ended_at IS NOT NULL")) == 1


async def test_who_pauses_in_mid_call_keeps_the_call(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    await client.post("/desk/pause")
    assert (await take(client) or {})["task_id"] == str(task_id)
    await report(client, task_id, "Anna", "refused")
    assert await take(client) is None


async def test_pauses_that_ended_long_ago_are_deleted(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    client.cookies.set("operator", "Anna")
    await client.post("/desk/pause")
    await client.post("/desk/resume")
    scoring.clock.moment += timedelta(days=31)
    await client.post("/desk/pause")
    assert len(await scoring.rows("SELECT 1 FROM desk_pauses")) == 1


async def test_pause_needs_a_name(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    assert (await client.post("/desk/pause")).headers["location"] == "/desk?said=name"
    assert await scoring.rows("SELECT 1 FROM desk_pauses") == []


async def test_promised_call_is_overdue_after_an_hour(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await complained(scoring, client, callback="1", best_time="any")
    assert "Promised and overdue 0" in await shown(client)
    scoring.clock.moment += timedelta(hours=1)
    assert "Promised and overdue 1" in await shown(client)
    await take(client)
    assert "Promised and overdue 0" in await shown(client)


async def test_today_is_by_hour_in_the_zone_of_the_supervisor(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for minute, disposition in ((10, "no_answer"), (20, "refused")):
        scoring.clock.moment = datetime(2026, 11, 18, 12, minute, tzinfo=UTC)
        task_id = await on_desk(scoring)
        await take(client)
        await report(client, task_id, "Anna", disposition)
    client.cookies.set("earshot-browser-zone", quote("Asia/Kathmandu", safe=""))  # at UTC+5:45
    page = await shown(client)
    assert "Called today 2 1 reached" in page
    assert re.search(r"17:00 1 0 0 18:00 1 1 0", page)


async def test_call_is_taken_over_and_both_are_told(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    page = (await client.get("/desk-team")).text
    assert f'name="task_id" value="{task_id}"' in page
    taken = await take_over(client, task_id)
    assert (taken.status_code, taken.headers["location"]) == (303, f"/desk/{task_id}")
    vera, anna = {"cookie": "operator=Vera"}, {"cookie": "operator=Anna"}
    assert "You took this call over from Anna." in (await client.get(f"/desk/{task_id}", headers=vera)).text
    kept = (await client.post(f"/desk/{task_id}/keep", headers=anna)).json()
    assert (kept["held"], kept["holder"]) == (False, "Vera")
    typed = {"score": "4", "comment": "She waited."}
    refused = await client.post(f"/desk/{task_id}/answer", data=typed, headers=anna)
    assert refused.status_code == 409
    assert "She waited." in refused.text
    assert "Vera has this call" in refused.text
    saved = await client.post(f"/desk/{task_id}/answer", data=typed, headers=vera)
    assert saved.headers["location"].startswith("/desk?said=answered")
    assert await scoring.rows("SELECT operator FROM answers") == [{"operator": "Vera"}]


async def test_of_two_supervisors_one_takes_the_call_over(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    both = await asyncio.gather(*(take_over(client, task_id, by=name) for name in ("Vera", "Zoya")))
    assert sorted(each.status_code for each in both) == [303, 409]
    [(holder, taken_from)] = await holders(scoring)
    assert taken_from == "Anna"
    assert f"{holder} has this call meanwhile." in next(each.text for each in both if each.status_code == 409)


@pytest.mark.parametrize("disposition", ["no_answer", "refused"])
async def test_call_that_just_ended_is_not_taken_over(
    scoring: Scoring, client: httpx2.AsyncClient, disposition: str
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await report(client, task_id, "Anna", disposition)
    refused = await take_over(client, task_id)
    assert refused.status_code == 409
    assert "this call has just ended. Anna noted: " in refused.text
    assert {taken_from for _, taken_from in await holders(scoring)} == {None}


async def test_withdrawn_call_is_not_taken_over(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    await take(client)
    await scoring.receive(
        CallWithdrawn(
            respondent_id=request.respondent_id,
            invitation_id=request.invitation_id,
            task_id=call.task_id,
            reason="answered",
        )
    )
    assert "this call was withdrawn. Anna is told." in (await take_over(client, call.task_id)).text
    assert await holders(scoring) == [("Anna", None)]


@pytest.mark.parametrize("task_id", ["", "x", "01999999-0000-7000-8000-000000000001"])
async def test_unknown_call_is_not_taken_over(client: httpx2.AsyncClient, task_id: str) -> None:
    refused = await take_over(client, task_id)
    assert refused.status_code == 409
    assert "there is no such call" in refused.text


async def test_taking_over_needs_a_name(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    refused = await client.post("/desk-team/take-over", data={"task_id": str(task_id), "operator": "Anna"})
    assert (refused.status_code, "enter your name" in refused.text) == (409, True)
    assert await holders(scoring) == [("Anna", None)]


async def test_call_that_somebody_takes_later_was_not_taken_over(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await take_over(client, task_id)
    await scoring.rows("UPDATE call_tasks SET lease_until = clock_timestamp() - interval '1 second'")
    await take(client, "Boris")
    assert await holders(scoring) == [("Boris", None)]
