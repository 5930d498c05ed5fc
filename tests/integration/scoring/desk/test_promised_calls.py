"""The page of promised calls: every promise has a state, an operator and a note."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2

from shared.contract.events import RespondentErased
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.stand import Scoring, link_of, on_desk, take


async def parts(client: httpx2.AsyncClient) -> dict[str, str]:
    """Return the text of each part of the page, by its heading."""
    page = (await client.get("/promised-calls")).text
    sections = re.findall(r"<h2>([^·<]+) · (\d+)</h2>(.*?)</section>", page, re.DOTALL)
    return {title: re.sub(r"<[^>]+>|\s+", " ", text) for title, _, text in sections}


async def test_no_promise_is_said(client: httpx2.AsyncClient) -> None:
    page = await client.get("/promised-calls")
    assert (page.status_code, "No call was promised." in page.text) == (200, True)


async def test_promise_is_shown_until_it_is_kept_with_what_was_agreed(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await complained(scoring, client, callback="1", best_time="evening")
    assert "Olga Petrova" in (await parts(client))["To come"]
    scoring.clock.moment += timedelta(hours=6)
    assert "asked to be called" in (await parts(client))["Overdue"]
    task = await take(client) or {}
    assert "Anna is calling" in (await parts(client))["To come"]
    client.cookies.set("operator", "Anna")
    agreed = {"disposition": "answered", "note": "A new cake on Friday."}
    await client.post(f"/desk/{task['task_id']}/outcome", data=agreed)
    shown = await parts(client)
    assert list(shown) == ["Kept or taken back"]
    assert "Anna: Talked · “A new cake on Friday.”" in shown["Kept or taken back"]
    assert "91612" not in shown["Kept or taken back"]


async def test_promise_that_nobody_kept_is_named(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await complained(scoring, client, callback="1")
    scoring.clock.moment += timedelta(days=8)
    await scoring.tick()
    assert "nobody called in time" in (await parts(client))["Not kept"]
    scoring.clock.moment += timedelta(days=30)
    assert await parts(client) == {}


async def test_appointment_is_a_promise(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring, expires_at=scoring.clock.moment + timedelta(days=3))
    await take(client)
    client.cookies.set("operator", "Anna")
    await client.post(
        f"/desk/{task_id}/outcome", data={"disposition": "call_later", "minutes": "60", "note": "At work."}
    )
    shown = (await parts(client))["To come"]
    assert "agreed on with an operator" in shown
    assert "Anna: Call later · “At work.”" in shown
    scoring.clock.moment += timedelta(hours=1)
    await take(client)
    await client.post(f"/desk/{task_id}/answer", data={"score": "9"})
    assert "Anna: Talked" in (await parts(client))["Kept or taken back"]


async def test_promise_for_after_the_end_of_the_survey_is_not_kept(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring, expires_at=scoring.clock.moment + timedelta(hours=2))
    await take(client)
    client.cookies.set("operator", "Anna")
    await client.post(f"/desk/{task_id}/outcome", data={"disposition": "call_later", "minutes": "1440"})
    assert "but the survey ends before" in (await parts(client))["Not kept"]


async def test_promise_to_somebody_taken_for_a_machine_waits_for_the_confirmation_and_is_kept(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await scoring.asked(time_zone="UTC")).invitation_id)
    pressed = {
        "score": "3",
        "comment": "",
        "callback": "1",
        "phone": "+7 495 765-43-21",
        "best_time": "evening",
        "trap": "1",
    }
    for _ in range(2):
        await client.post(link, data=pressed)
    assert "which looks automatic" in (await parts(client))["Held back"]
    scoring.clock.moment += timedelta(hours=6)
    assert await take(client) is None
    [answer] = await scoring.rows("SELECT answer_id FROM answers WHERE suspect")
    await client.post(f"/v1/answers/{answer['answer_id']}/confirm")
    assert list(await parts(client)) == ["To come"]
    [task] = await scoring.rows("SELECT phone, window_start FROM call_tasks")
    assert (task["phone"], task["window_start"].hour) == ("+74957654321", 17)
    assert (await take(client) or {})["kind"] == "callback"


async def test_promise_that_waits_is_erased_with_the_person(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(time_zone="UTC")
    pressed = {
        "score": "3",
        "comment": "",
        "callback": "1",
        "phone": "+7 495 765-43-21",
        "best_time": "any",
        "trap": "1",
    }
    await client.post(link_of(request.invitation_id), data=pressed)
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await scoring.rows("SELECT state, phone, name FROM call_tasks") == [
        {"state": "closed", "phone": "", "name": ""}
    ]
