"""Detractors can ask for a callback, which is first in the desk's queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.scoring.repository.calling import call_queue
from shared.contract.events import (
    Brand,
    Consent,
    Contact,
    RespondentConsentChanged,
    RespondentErased,
    RespondentOptedOut,
    SurveyRequested,
)
from shared.contract.vocabulary import ChannelKind
from tests.integration.scoring.stand import NOW, Scoring, link_of, named

REACHED = Contact(email="olga@example.com", phone="+79161234567")
TASKS = "SELECT kind, state, outcome, phone, name, window_start, due_at FROM call_tasks"


async def complained(
    scoring: Scoring, client: httpx2.AsyncClient, *, score: int = 3, contact: Contact = REACHED, **said: str
) -> SurveyRequested:
    """Send a score and then the second page's form with these fields."""
    request = await scoring.asked(time_zone="UTC", contact=contact)
    link = link_of(request.invitation_id)
    await client.post(link, data={"score": str(score)})
    await client.post(link, data={"comment": "", "best_time": "any", **said})
    return request


async def test_dissatisfied_is_offered_a_call_and_a_promoter_a_review(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    brand = Brand(name="Kofe Point", review_url="https://reviews.example.com/kofe", logo_url="kofe.svg")
    low, high = [await scoring.asked(brand=brand, offers=[ChannelKind.EMAIL]) for _ in range(2)]
    await client.post(link_of(low.invitation_id), data={"score": "4"})
    await client.post(link_of(high.invitation_id), data={"score": "10"})
    page = (await client.get(link_of(low.invitation_id))).text
    assert "Call me back at ··· 45-67" in page
    assert "9161234567" not in page  # a link may be forwarded
    assert 'src="/logos/kofe.svg"' in page
    assert "Call me back" not in (await client.get(link_of(high.invitation_id))).text
    thanks = (await client.get(link_of(high.invitation_id) + "?done=1")).text
    assert 'href="https://reviews.example.com/kofe"' in thanks
    assert "reviews.example.com" not in (await client.get(link_of(low.invitation_id) + "?done=1")).text


@pytest.mark.parametrize(
    ("offers", "step", "asked"),
    [([], 1, False), (["email"], 1, True), (["sms"], 1, False), (["sms"], 3, True), (["sms"], 0, True), ([], 0, False)],
)
async def test_only_who_allows_offers_over_the_channel_is_asked_for_a_review(
    scoring: Scoring,
    client: httpx2.AsyncClient,
    offers: list[str],
    step: int,
    asked: bool,  # noqa: FBT001 - a column of the table
) -> None:
    brand = Brand(name="Kofe Point", review_url="https://reviews.example.com/kofe")
    request = await scoring.asked(brand=brand, offers=offers)
    link = link_of(request.invitation_id, step=step)
    await client.post(link, data={"score": "10"})
    thanks = await client.get(link + "?done=1")
    assert thanks.status_code == 200
    assert ("reviews.example.com" in thanks.text) is asked


async def test_who_takes_the_consent_to_offers_back_is_not_asked_for_a_review(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    brand = Brand(name="Kofe Point", review_url="https://reviews.example.com/kofe")
    request = await scoring.asked(brand=brand, offers=["email"])
    link = link_of(request.invitation_id)
    await client.post(link, data={"score": "10"})
    for offers, asked in ((None, True), ([], False), ([ChannelKind.EMAIL], True)):
        await scoring.receive(
            RespondentConsentChanged(respondent_id=request.respondent_id, consent=Consent(email=True), offers=offers)
        )
        assert ("reviews.example.com" in (await client.get(link + "?done=1")).text) is asked
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await scoring.rows("SELECT offers FROM invitations") == [{"offers": None}]


async def test_program_may_offer_no_call(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    asked = await scoring.asked(call_back=False)
    link = link_of(asked.invitation_id)
    await client.post(link, data={"score": "2"})
    assert "Call me back" not in (await client.get(link)).text
    form = {"score": "2", "comment": "", "best_time": "any", "callback": "1"}  # from an older page or forged
    assert (await client.post(link, data=form)).status_code == 303
    assert await scoring.rows(TASKS) == []


async def test_callback_request_becomes_a_call_task(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await complained(scoring, client, callback="1", best_time="evening", comment="Cold soup.", reasons="wait")
    [task] = await scoring.rows(TASKS)
    assert (task["kind"], task["state"], task["phone"], task["name"]) == (
        "callback",
        "open",
        "+79161234567",
        "Olga Petrova",
    )
    assert task["due_at"].hour == 17
    assert await scoring.rows("SELECT callback_wanted FROM answers") == [{"callback_wanted": True}]
    link = link_of(request.invitation_id)
    assert "We will call you back." in (await client.get(f"{link}?done=1")).text
    scoring.clock.moment += timedelta(hours=6)
    taken = (await client.post("/v1/desk/take", json={"operator": "Anna"})).json()
    assert taken["kind"] == "callback"
    client.cookies.set("operator", "Anna")
    page = (await client.get(f"/desk/{taken['task_id']}")).text
    for text in ("You asked us to call you back", "3 of 10", "Cold soup.", "Long wait", "Talked"):
        assert text in page
    talked = await client.post(f"/desk/{taken['task_id']}/outcome", data={"disposition": "answered"})
    assert "Noted: talked. The call is closed." in (await client.get(talked.headers["location"])).text
    assert (await scoring.rows(TASKS))[0]["outcome"] == "answered"
    assert await scoring.published("call.closed") == []  # dispatcher did not request this call
    await client.post(link, data={"comment": "Cold soup!", "best_time": "any", "callback": "1"})
    assert len(await scoring.rows(TASKS)) == 1  # they were called


async def test_callback_request_can_be_changed_and_withdrawn(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await complained(scoring, client, callback="1")
    link = link_of(request.invitation_id)
    again = {"comment": "", "best_time": "morning", "callback": "1", "phone": "+7 (495) 123-45-67"}
    await client.post(link, data=again)
    [task] = await scoring.rows(TASKS)
    assert (task["phone"], task["window_start"].hour) == ("+74951234567", 9)
    await client.post(link, data={"score": "2"})  # has no callback fields
    assert (await scoring.rows(TASKS))[0]["state"] == "open"
    await client.post(link, data={"comment": "", "best_time": "any"})
    assert (await scoring.rows(TASKS))[0]["outcome"] == "withdrawn"
    assert await scoring.rows("SELECT callback_wanted FROM answers") == [{"callback_wanted": False}]


async def test_entering_a_number_requests_a_callback(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await complained(scoring, client, phone="+7 495 765-43-21", best_time="evening")
    [task] = await scoring.rows(TASKS)
    assert (task["state"], task["phone"], task["window_start"].hour) == ("open", "+74957654321", 17)
    assert await scoring.rows("SELECT callback_wanted FROM answers") == [{"callback_wanted": True}]


async def test_suspect_answer_changes_no_callback(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    link = link_of((await complained(scoring, client, callback="1")).invitation_id)
    before = await scoring.rows(TASKS)
    pressed = {"comment": "", "callback": "1", "phone": "+7 495 765-43-21", "best_time": "evening", "trap": "1"}
    await client.post(link, data=pressed)
    assert await scoring.rows(TASKS) == before


@pytest.mark.parametrize("contact", [REACHED, Contact(email="olga@example.com")])
async def test_form_shows_the_open_callback_and_a_repeated_request_changes_nothing(
    contact: Contact, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await complained(
        scoring, client, contact=contact, callback="1", phone="+7 495 765-43-21", best_time="evening"
    )
    link = link_of(request.invitation_id)
    before = await scoring.rows(TASKS)
    page = (await client.get(link)).text
    assert "Call me back at ··· 43-21" in page
    assert "4957654321" not in page
    assert 'value="evening" selected' in page
    scoring.clock.moment += timedelta(hours=6)
    await client.post("/v1/desk/take", json={"operator": "Anna"})
    [task] = await scoring.rows("SELECT task_id FROM call_tasks")
    missed = {"operator": "Anna", "disposition": "call_later", "minutes": 60}
    await client.post(f"/v1/desk/{task['task_id']}/outcome", json=missed)
    appointed = await scoring.rows(TASKS)
    assert appointed[0]["due_at"] > before[0]["due_at"]
    unchanged = {"comment": "", "reasons": "wait", "callback": "1", "phone": "", "best_time": "evening"}
    assert (await client.post(link, data=unchanged)).status_code == 303
    assert await scoring.rows(TASKS) == appointed
    await client.post(link, data=unchanged | {"best_time": "morning"})
    [task] = await scoring.rows(TASKS)
    assert (task["phone"], task["window_start"].hour, task["due_at"].hour) == ("+74957654321", 9, 9)


@pytest.mark.parametrize(
    ("asked", "phone", "told"),
    [
        ({}, "abc", "This is no phone number we can call."),
        ({}, "12345", "This is no phone number we can call."),
        ({"locale": "ru"}, "12", "По этому номеру мы не сможем позвонить."),
        ({"contact": Contact(email="olga@example.com")}, "", "Which number shall we call?"),
    ],
)
async def test_invalid_number_is_reported_and_the_typed_text_is_kept(
    asked: dict[str, Any], phone: str, told: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await scoring.asked(**asked)).invitation_id)
    await client.post(link, data={"score": "3"})
    typed = {"reasons": "wait", "comment": "<Cold> soup.", "callback": "1", "phone": phone, "best_time": "evening"}
    refused = await client.post(link, data=typed, headers={"accept": "text/html"})
    assert (refused.status_code, told in refused.text) == (422, True)
    for kept in ('value="wait" checked', "&lt;Cold&gt; soup.", f'value="{phone}"', 'value="evening" selected'):
        assert kept in refused.text
    assert 'name="callback" value="1" checked' in refused.text
    assert await scoring.rows("SELECT version, comment FROM answers") == [{"version": 1, "comment": None}]
    assert (await client.post(link, data=typed | {"phone": "+7 495 765-43-21"})).status_code == 303
    problem = await client.post(link, data=typed | {"phone": "abc"}, headers={"accept": "application/json"})
    assert (problem.status_code, problem.headers["content-type"]) == (422, "application/problem+json")


async def test_form_with_a_wrong_number_still_carries_its_score(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    link = link_of((await scoring.asked()).invitation_id)
    typed = {"score": "0", "comment": "", "phone": "abc", "best_time": "any"}
    refused = await client.post(link, data=typed)
    assert (refused.status_code, 'type="hidden" name="score" value="0"' in refused.text) == (422, True)
    unread = await client.post(link, data=typed | {"best_time": "night"})
    assert (unread.status_code, "Your answer was not understood" in unread.text) == (422, True)


async def test_callbacks_are_first_in_the_queue_and_a_refusal_is_published(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await complained(scoring, client, callback="1")
    page = (await client.get("/desk")).text
    assert "1 asked to be called" in page
    task = (await client.post("/v1/desk/take", json={"operator": "Anna"})).json()
    said = {"operator": "Anna", "disposition": "do_not_call"}
    await client.post(f"/v1/desk/{task['task_id']}/outcome", json=said)
    [opted] = await scoring.published("respondent.opted_out")
    assert isinstance(opted.payload, RespondentOptedOut)
    assert opted.payload.channel == "call"


async def test_call_back_that_ended_with_a_talk_counts_as_no_answer(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await complained(scoring, client, callback="1")
    task = (await client.post("/v1/desk/take", json={"operator": "Anna"})).json()
    said = {"operator": "Anna", "disposition": "answered"}
    (await client.post(f"/v1/desk/{task['task_id']}/outcome", json=said)).raise_for_status()
    async with scoring.database.sessions() as session:
        made = await call_queue.made_since(session, named("Anna"), NOW - timedelta(days=1))
    assert dict(made) == {"calls": 1, "reached": 1, "answers": 0}


async def test_erasure_deletes_number_and_name(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await complained(scoring, client, callback="1")
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert (await scoring.rows(TASKS))[0] | {"due_at": None, "window_start": None} == {
        "kind": "callback",
        "state": "closed",
        "outcome": "withdrawn",
        "phone": "",
        "name": "",
        "window_start": None,
        "due_at": None,
    }
    assert await scoring.rows("SELECT name, phone FROM invitations") == [{"name": "", "phone": ""}]
    assert (await client.get(link_of(request.invitation_id))).status_code == 404  # the same as for an unknown link
