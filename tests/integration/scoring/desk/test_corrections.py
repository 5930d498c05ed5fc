"""What an operator typed is stored or given back: corrections, lost calls, and calls that outlast their reservation."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from shared.contract.events import CallWithdrawn, RespondentErased
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take

OVER = "UPDATE call_tasks SET lease_until = clock_timestamp() - interval '1 second'"


async def save(client: httpx2.AsyncClient, task_id: UUID, operator: str, **fields: str) -> httpx2.Response:
    client.cookies.set("operator", operator)
    return await client.post(f"/desk/{task_id}/answer", data=fields)


async def test_saved_answer_is_corrected_by_who_took_it_and_both_versions_are_kept(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    saved = await save(client, task_id, "Anna", score="4", **{"reasons.other": "wait"}, comment="She waited.")
    desk = (await client.get(saved.headers["location"])).text
    assert "Saved: 4 of 10. The call is closed." in desk
    assert f'href="/desk/{task_id}"' in desk
    page = (await client.get(f"/desk/{task_id}")).text
    assert "Correct the answer that you saved" in page
    assert 'value="4" required checked' in page
    assert 'value="wait" checked' in page
    assert ">She waited.</textarea>" in page
    assert "/outcome" not in page
    corrected = await save(client, task_id, "Anna", whole="1", score="9", comment="")
    assert "Saved: 9 of 10." in (await client.get(corrected.headers["location"])).text
    versions = await scoring.versions("score, reasons, comment, version")
    assert versions == [
        {"score": 4, "reasons": ["wait"], "comment": "She waited.", "version": 1},
        {"score": 9, "reasons": [], "comment": None, "version": 2},
    ]
    assert len(await scoring.rows("SELECT 1 FROM call_attempts")) == 1
    assert len(await scoring.published("answer.amended")) == 1


@pytest.mark.parametrize("said", ["/desk?said=answered", "/desk?said=answered&task={}"])
async def test_desk_says_saved_only_of_what_this_operator_stored(
    said: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    assert "Saved" not in (await client.get(said.format(task_id))).text
    await save(client, task_id, "Anna", score="4")
    client.cookies.set("operator", "Boris")
    assert "Saved" not in (await client.get(said.format(task_id))).text


async def test_another_operator_can_neither_correct_nor_see_an_answer(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await save(client, task_id, "Anna", score="4", comment="She waited.")
    client.cookies.set("operator", "Boris")
    assert (await client.get(f"/desk/{task_id}")).headers["location"] == "/desk?said=taken"
    assert (await save(client, task_id, "Boris", whole="1", score="9")).status_code == 409
    assert [row["score"] for row in await scoring.versions("score")] == [4]


async def test_answer_is_saved_after_the_reservation_if_nobody_took_the_call(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await scoring.rows(OVER)
    saved = await save(client, task_id, "Anna", score="4", comment="She waited.")
    assert saved.headers["location"] == f"/desk?said=answered&task={task_id}"
    assert [row["comment"] for row in await scoring.versions("comment")] == ["She waited."]


async def test_answer_is_saved_though_the_call_ended_while_the_operator_spoke(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked(expires_at=scoring.clock.moment + timedelta(days=9))
    call = call_for(request, expires_at=scoring.clock.moment + timedelta(minutes=1))
    await scoring.receive(call)
    await take(client)
    scoring.clock.moment += timedelta(minutes=2)
    await scoring.tick()
    saved = await save(client, call.task_id, "Anna", score="4")
    assert saved.headers["location"] == f"/desk?said=answered&task={call.task_id}"


async def test_words_are_given_back_when_another_operator_took_the_call(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await scoring.rows(OVER)
    await take(client, "Boris")
    refused = await save(client, task_id, "Anna", score="4", **{"reasons.other": "wait"}, comment="She waited.")
    assert refused.status_code == 409
    for kept in ("Not saved: another operator has this call", "Boris has this call", "4 of 10", "Long wait"):
        assert kept in refused.text
    assert ">She waited.</textarea>" in refused.text
    assert "916 123" not in refused.text
    noted = await client.post(f"/desk/{task_id}/outcome", data={"disposition": "call_later", "note": "After six."})
    assert (noted.status_code, ">After six.</textarea>" in noted.text) == (409, True)
    both = {"disposition": "busy", "score": "4", "comment": "She waited.", "note": "After six."}
    noted = await client.post(f"/desk/{task_id}/outcome", data=both)
    assert (noted.status_code, ">She waited.\n\nAfter six.</textarea>" in noted.text) == (409, True)
    assert await scoring.rows("SELECT 1 FROM answers") == []


async def test_words_are_given_back_when_the_survey_was_erased_meanwhile(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    await take(client)
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id, at=scoring.clock.moment))
    refused = await save(client, call.task_id, "Anna", score="4", comment="She waited.")
    assert (refused.status_code, ">She waited.</textarea>" in refused.text) == (409, True)
    assert await scoring.rows("SELECT 1 FROM answers") == []


async def test_answer_of_a_withdrawn_call_is_corrected_once_more(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    call = call_for(await scoring.asked())
    await scoring.receive(call)
    await take(client)
    gone = CallWithdrawn(
        respondent_id=call.respondent_id, invitation_id=call.invitation_id, task_id=call.task_id, reason="stopped"
    )
    await scoring.receive(gone)
    for score in ("4", "5"):
        saved = await save(client, call.task_id, "Anna", score=score)
        assert saved.headers["location"].startswith("/desk?said=answered")
    assert [row["score"] for row in await scoring.versions("score")] == [4, 5]
    assert len(await scoring.rows("SELECT 1 FROM call_attempts")) == 1


async def test_of_two_operators_who_save_in_the_same_second_one_is_told_that_it_was_not_stored(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await scoring.rows(OVER)
    await take(client, "Boris")

    async def answer(operator: str, score: int) -> int:
        body = {"operator": operator, "score": score}
        return (await client.post(f"/v1/desk/{task_id}/answer", json=body)).status_code

    assert sorted(await asyncio.gather(answer("Anna", 1), answer("Boris", 9))) == [200, 409]
    assert [row["score"] for row in await scoring.versions("score")] == [9]


async def test_call_is_kept_while_its_page_is_open(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await scoring.rows("UPDATE call_tasks SET lease_until = clock_timestamp() + interval '1 minute'")
    client.cookies.set("operator", "Anna")
    kept = (await client.post(f"/desk/{task_id}/keep")).json()
    assert kept == {"held": True, "holder": "Anna", "there": "15:00"}
    [left] = await scoring.rows("SELECT lease_until - clock_timestamp() AS left FROM call_tasks")
    assert left["left"] > timedelta(minutes=14)
    await scoring.rows(OVER)
    assert await take(client, "Boris") is not None
    assert (await client.post(f"/desk/{task_id}/keep")).json()["held"] is False
    assert (await client.post("/desk/00000000-0000-0000-0000-000000000000/keep")).json() == {
        "held": False,
        "holder": None,
        "there": None,
    }


async def test_call_that_ended_is_not_reserved_again(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    await save(client, task_id, "Anna", score="4")
    assert (await client.post(f"/desk/{task_id}/keep")).json()["held"] is False
    assert await scoring.rows("SELECT 1 FROM call_tasks WHERE lease_until IS NOT NULL") == []


async def test_note_of_a_call_is_shown_to_whoever_calls_next(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    later = {"disposition": "call_later", "minutes": "15", "note": "Her mother answered."}
    await client.post(f"/desk/{task_id}/outcome", data=later)
    scoring.clock.moment += timedelta(minutes=15)
    await take(client, "Boris")
    client.cookies.set("operator", "Boris")
    page = (await client.get(f"/desk/{task_id}")).text
    assert "Anna: Call later · “Her mother answered.”" in page
    too_long = await client.post(f"/desk/{task_id}/outcome", data={**later, "note": "x" * 1001})
    assert (too_long.status_code, "x" * 1001 in too_long.text) == (422, True)


async def test_number_is_dialled_by_the_link_that_is_set(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    assert 'href="tel:+79161234567"' in (await client.get(f"/desk/{task_id}")).text


async def test_wrong_number_reached_nobody(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    await client.post(f"/desk/{task_id}/outcome", data={"disposition": "wrong_number"})
    assert "1 call, 0 reached" in (await client.get("/desk")).text
