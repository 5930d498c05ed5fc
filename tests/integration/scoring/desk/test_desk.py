"""The call desk: a task has one operator at a time, attempts and outcomes, and is closed exactly once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from deploy.program_ticket import ProgramTicket
from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.contract.events import CallAttempted, CallClosed, CallWithdrawn, RespondentErased, SurveyAnswered
from shared.contract.vocabulary import AnswerMode
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take
from tests.staff import STAFF


async def report(
    client: httpx2.AsyncClient, task_id: object, disposition: str, operator: str = "Anna"
) -> httpx2.Response:
    said = {"operator": operator, "disposition": disposition}
    return await client.post(f"/v1/desk/{task_id}/outcome", json=said)


async def outcomes(scoring: Scoring) -> list[str]:
    closed = [event.payload for event in await scoring.published("call.closed")]
    return [payload.outcome for payload in closed if isinstance(payload, CallClosed)]


async def test_task_is_leased_to_one_operator(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    taken = await take(client)
    assert taken is not None
    assert taken["task_id"] == str(task_id)
    assert {"invitation_id", "phone", "name", "script", "summary", "try", "max_attempts"} <= set(taken)
    assert await take(client, "Boris") is None
    assert (await report(client, task_id, "refused", "Boris")).status_code == 409
    answer = {"operator": "Boris", "score": 9}
    assert (await client.post(f"/v1/desk/{task_id}/answer", json=answer)).status_code == 409
    assert (await take(client) or {})["task_id"] == str(task_id)
    await scoring.rows("UPDATE call_tasks SET lease_until = clock_timestamp() - interval '1 second'")
    assert (await take(client, "Boris") or {})["task_id"] == str(task_id)
    assert (await report(client, task_id, "refused")).status_code == 409


async def test_many_operators_never_share_a_task(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for _ in range(5):
        await on_desk(scoring)
    taken = await asyncio.gather(*(take(client, f"Operator {number}") for number in range(8)))
    assert len({task["task_id"] for task in taken if task}) == sum(task is not None for task in taken) == 5


async def test_no_answer_comes_back_and_ends_unreachable(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring, window=None)
    for attempt in (1, 2, 3):
        assert (await take(client) or {})["try"] == attempt
        noted = (await report(client, task_id, "no_answer")).json()
        assert await take(client) is None
        scoring.clock.moment += timedelta(minutes=179)
        assert await take(client) is None
        scoring.clock.moment += timedelta(minutes=1)
        assert noted["open"] is (attempt < 3)
    assert await outcomes(scoring) == ["unreachable"]
    tries = [event.payload for event in await scoring.published("call.attempted")]
    assert [payload.attempt for payload in tries if isinstance(payload, CallAttempted)] == [1, 2, 3]


async def test_busy_call_is_retried_soon_and_call_later_after_the_chosen_delay(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring, window=None)
    await take(client)
    await report(client, task_id, "busy")
    scoring.clock.moment += timedelta(minutes=15)
    assert await take(client)
    later = {"operator": "Anna", "disposition": "call_later", "minutes": 90}
    noted = (await client.post(f"/v1/desk/{task_id}/outcome", json=later)).json()
    assert noted["due_at"] == (scoring.clock.moment + timedelta(minutes=90)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("disposition", ["refused", "wrong_number", "do_not_call"])
async def test_final_disposition_closes_the_task(
    disposition: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    for _ in range(2):  # again after a reply that never arrived
        assert (await report(client, task_id, disposition)).json()["outcome"] == disposition
    assert (await report(client, task_id, "no_answer")).status_code == 409
    assert (await report(client, task_id, disposition, "Boris")).status_code == 409
    assert await outcomes(scoring) == [disposition]
    assert len(await scoring.rows("SELECT 1 FROM call_attempts")) == 1


async def test_answer_closes_the_task_in_operator_mode(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    body = {"operator": "Anna", "score": 4, "reasons": ["wait"], "comment": "Too slow."}
    saved = await client.post(f"/v1/desk/{task_id}/answer", json=body)
    assert saved.status_code == 200
    assert (saved.json()["score"], saved.json()["version"], saved.json()["category"]) == (4, 1, "detractor")
    [answered] = [event.payload for event in await scoring.published("survey.answered")]
    assert isinstance(answered, SurveyAnswered)
    assert (answered.mode, answered.step, answered.comment) == (AnswerMode.OPERATOR, 4, "Too slow.")
    assert await outcomes(scoring) == ["answered"]
    assert [row["operators"] for row in await scoring.rows("SELECT operators FROM buckets")] == [1] * 7
    again = await client.post(f"/v1/desk/{task_id}/answer", json=body)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert len(await scoring.rows("SELECT 1 FROM call_attempts")) == 1


@pytest.mark.parametrize("score", [11, -1, True, "9", 9.5, None])
async def test_invalid_score_of_an_operator_is_refused(
    score: object, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    assert (await client.post(f"/v1/desk/{task_id}/answer", json={"operator": "A", "score": score})).status_code == 422
    assert (await report(client, task_id, "answered")).status_code == 422


async def test_answered_online_while_on_the_phone(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    await take(client)
    await scoring.score(request, 6)
    client.cookies.set("operator", "Anna")
    assert "Answered meanwhile: 6." in (await client.get(f"/desk/{call.task_id}")).text
    gone = CallWithdrawn(
        respondent_id=call.respondent_id, invitation_id=call.invitation_id, task_id=call.task_id, reason="answered"
    )
    await scoring.receive(gone)
    correction = await client.post(f"/v1/desk/{call.task_id}/answer", json={"operator": "Anna", "score": 7})
    assert (correction.status_code, correction.json()["version"]) == (200, 2)
    assert await outcomes(scoring) == ["withdrawn"]


@pytest.mark.parametrize("first", ["request", "withdrawal"])
async def test_withdrawn_call_is_closed_in_either_order_of_events(
    first: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    call = call_for(await scoring.asked())
    gone = CallWithdrawn(
        respondent_id=call.respondent_id, invitation_id=call.invitation_id, task_id=call.task_id, reason="answered"
    )
    for event in (gone, call) if first == "withdrawal" else (call, gone):
        await scoring.receive(event)
    assert await take(client) is None
    assert await outcomes(scoring) == ["withdrawn"]


async def test_call_for_an_answered_invitation_is_closed_at_once(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.score(request, 9)
    call = call_for(request)
    await scoring.receive(call, call)
    assert await take(client) is None
    assert await outcomes(scoring) == ["answered"]


async def test_call_waits_for_the_respondents_hours(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    scoring.clock.moment = scoring.clock.moment.replace(hour=19)  # 22:00 in Moscow
    await on_desk(scoring)
    assert await take(client) is None
    scoring.clock.moment += timedelta(hours=11)  # 09:00 there
    assert await take(client)
    scoring.clock.moment += timedelta(hours=14)  # 23:00 there, and the lease is still held
    assert await take(client) is None
    assert await scoring.tick() >= 1
    scoring.clock.moment += timedelta(hours=10)
    assert await take(client)


async def test_task_past_its_end_expires(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await on_desk(scoring)
    scoring.clock.moment += timedelta(days=21)
    assert await take(client) is None
    await scoring.tick()
    await scoring.tick()
    assert await outcomes(scoring) == ["expired"]


async def test_erased_respondent_is_not_called(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await take(client) is None
    assert await outcomes(scoring) == ["withdrawn"]
    kept = await scoring.rows("SELECT t::text AS task FROM call_tasks t")
    assert "79161234567" not in str(kept)
    assert "Olga" not in str(kept)


async def test_operator_takes_a_call_and_saves_an_answer(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    listed = (await client.get("/desk")).text
    assert "Olga P." in listed
    assert "+79161234567" not in listed
    assert "916 123" not in listed
    taken = await client.post("/desk/take", data={"operator": "Анна"})
    assert taken.headers["location"] == f"/desk/{task_id}"
    page = (await client.get(f"/desk/{task_id}")).text
    assert "+7 916 123-45-67" in page
    assert 'there it is <span id="there">15:00</span>' in page
    assert "<strong>How likely are you" in page
    refused = await client.post(f"/desk/{task_id}/answer", data={"score": "x"})
    assert (refused.status_code, "choose a score" in refused.text) == (422, True)
    saved = await client.post(
        f"/desk/{task_id}/answer", data={"score": "10", "reasons.promoter": "taste", "comment": "Nice"}
    )
    assert saved.headers["location"] == f"/desk?said=answered&task={task_id}"
    versions = await scoring.versions("score, reasons, comment, operator")
    assert versions == [{"score": 10, "reasons": ["taste"], "comment": "Nice", "operator": "Анна"}]


async def test_desk_gives_back_a_comment_that_it_does_not_save(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await client.post("/desk/take", data={"operator": "Anna"})
    long = "She waited. " * 400
    for sent, why in (({"score": "9", "comment": long}, "too long"), ({"comment": "She waited"}, "choose a score")):
        page = await client.post(f"/desk/{task_id}/answer", data=sent)
        assert (page.status_code, sent["comment"].strip() in page.text, why in page.text) == (422, True, True)
    assert await scoring.rows("SELECT 1 FROM answers") == []
    lines = "a\r\n" * 1999 + "b"
    saved = await client.post(f"/desk/{task_id}/answer", data={"score": "9", "comment": lines})
    assert saved.headers["location"] == f"/desk?said=answered&task={task_id}"


async def test_desk_offers_the_reasons_of_either_kind_and_takes_those_of_the_score(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    page = (await client.get(f"/desk/{task_id}")).text
    for text in ("Reasons for 0 to 8", "Long wait", "Reasons for 9 to 10", "Friendly staff"):
        assert text in page
    ticked = {"score": "9", "reasons.promoter": "staff", "reasons.other": "wait"}  # chosen before the score changed
    await client.post(f"/desk/{task_id}/answer", data=ticked)
    assert await scoring.rows("SELECT score, reasons FROM answers") == [{"score": 9, "reasons": ["staff"]}]


async def test_other_operators_call_is_not_shown(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client, "Boris")
    client.cookies.set("operator", "Anna")
    assert (await client.get(f"/desk/{task_id}")).headers["location"] == "/desk?said=taken"
    assert (await client.post("/desk/take", data={"task_id": str(task_id)})).headers["location"] == "/desk?said=taken"
    for junk in ({"task_id": "x"}, {"operator": " "}):
        assert (await client.post("/desk/take", data=junk)).status_code == 303
    lost = await client.post(f"/desk/{task_id}/outcome", data={"disposition": "refused"})
    assert (lost.status_code, "Not saved: another operator has this call" in lost.text) == (409, True)
    assert "916 123" not in lost.text


async def test_same_origin_form_is_accepted_and_a_cross_site_one_refused(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await on_desk(scoring)
    sent = {"origin": "null", "sec-fetch-site": "same-origin"}  # as browsers send it under our referrer policy
    assert (await client.post("/desk/take", data={"operator": "Anna"}, headers=sent)).status_code == 303
    sent["sec-fetch-site"] = "cross-site"
    assert (await client.post("/desk/take", data={"operator": "Anna"}, headers=sent)).status_code == 403


@pytest.mark.parametrize("junk", ['"a\\u0000"', '"\\ud800"', '""', "null", "[]", "1e999", '"' + "x" * 101 + '"'])
async def test_junk_names_are_refused(junk: str, scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    as_json = {"content-type": "application/json"}
    body = f'{{"operator": {junk}}}'
    assert (await client.post("/v1/desk/take", content=body, headers=as_json)).status_code in (400, 422)
    await take(client)
    comment = '{"operator": "Anna", "score": 9, "comment": "a\\u0000"}'
    assert (await client.post(f"/v1/desk/{task_id}/answer", content=comment, headers=as_json)).status_code == 422


async def test_answer_saved_twice_is_saved(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    for _ in range(2):
        saved = await client.post(f"/desk/{task_id}/answer", data={"score": "10"})
        assert saved.headers["location"] == f"/desk?said=answered&task={task_id}"
    client.cookies.set("operator", "Boris")
    other = await client.post(f"/desk/{task_id}/answer", data={"score": "1"})
    assert (other.status_code, "Not saved" in other.text) == (409, True)
    assert await scoring.rows("SELECT score, version FROM answers") == [{"score": 10, "version": 1}]


async def test_appointment_is_kept_by_the_respondents_clock(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring)
    await on_desk(scoring, priority=5)
    scoring.clock.moment += timedelta(minutes=1)
    client.cookies.set("operator", "Anna")
    await client.post("/desk/take", data={"task_id": str(task_id)})
    page = (await client.get(f"/desk/{task_id}")).text
    assert "Hello, this is Kofe Point." not in page  # the script has a greeting of its own
    wrong = {"disposition": "call_later", "at": "2020-01-01T10:00"}
    told = await client.post(f"/desk/{task_id}/outcome", data=wrong)
    assert (told.status_code, "choose a time" in told.text) == (422, True)
    await client.post(f"/desk/{task_id}/outcome", data={"disposition": "call_later", "at": "2026-11-19T14:30"})
    [task] = await scoring.rows("SELECT due_at FROM call_tasks WHERE appointed")
    assert task["due_at"].isoformat() == "2026-11-19T11:30:00+00:00"  # Moscow is three hours ahead
    scoring.clock.moment = task["due_at"]
    await scoring.tick()
    page = (await client.get("/desk")).text
    assert "appointment 14:30" in page
    assert (await take(client) or {})["task_id"] == str(task_id)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"disposition": "no_answer"}, "Noted: no answer. The call comes back today 18:00 their time."),
        ({"disposition": "refused"}, "Noted: refused. The call is closed."),
        (
            {"disposition": "call_later", "at": "2026-11-19T14:30"},
            "Noted: call later. The call comes back 19 Nov 14:30 their time.",
        ),
        (
            {"disposition": "call_later", "at": "2026-11-19T03:00"},
            "It is moved into the hours in which they may be called: it comes back 19 Nov 09:00 their time.",
        ),
        (
            {"disposition": "call_later", "at": "2026-11-30T10:00"},
            "Noted: call later. The call expires before then and does not come back.",
        ),
    ],
)
async def test_desk_shows_the_outcome_and_when_the_call_is_due_again(
    said: dict[str, str], told: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring, expires_at=scoring.clock.moment + timedelta(days=7))
    await take(client)
    client.cookies.set("operator", "Anna")
    noted = await client.post(f"/desk/{task_id}/outcome", data=said)
    assert told in (await client.get(noted.headers["location"])).text
    for junk in ({"noted": "x", "task": str(task_id)}, {"noted": "busy", "task": "x"}):
        assert "Noted" not in (await client.get("/desk", params=junk)).text


async def test_script_without_a_greeting_gets_one(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk(scoring, script="How likely are you to recommend us to a friend or colleague?")
    await take(client)
    client.cookies.set("operator", "Anna")
    page = (await client.get(f"/desk/{task_id}")).text
    assert "Hello, this is Kofe Point. Your order 48213 of 18 November, Tverskaya. One question" in page


@pytest.mark.parametrize("url", ["https://nps.example.com", "http://127.0.0.1:8000"])
async def test_cookie_of_the_desk_is_secure_where_its_address_is(scoring: Scoring, url: str) -> None:
    settings = ScoringSettings(public_url=url)
    app = build_app(settings, database=scoring.database, clock=scoring.clock)
    transport, staff = httpx2.ASGITransport(app), ProgramTicket(settings)
    async with httpx2.AsyncClient(auth=staff, transport=transport, base_url="http://127.0.0.1:8000") as browser:
        taken = await browser.post("/desk/take", data={"operator": "Anna"})
    assert ("secure" in taken.headers["set-cookie"].lower()) is url.startswith("https")


@pytest.mark.parametrize("path", ["/logos/kofe.svg", "/logos/", "/logos"])
async def test_folder_of_logos_need_not_exist(scoring: Scoring, tmp_path: Path, path: str) -> None:
    settings = ScoringSettings(logos_dir=tmp_path / "none")
    app = build_app(settings, database=scoring.database, clock=scoring.clock)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8000") as browser:
        assert (await browser.get(path, follow_redirects=True)).status_code == 404


async def test_logo_is_kept_by_browsers_and_asked_for_again(scoring: Scoring, tmp_path: Path) -> None:
    (tmp_path / "kofe.svg").write_text("<svg/>")
    app = build_app(ScoringSettings(logos_dir=tmp_path), database=scoring.database, clock=scoring.clock)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000") as browser:
        logo = await browser.get("/logos/kofe.svg")
        again = await browser.get("/logos/kofe.svg", headers={"if-none-match": logo.headers["etag"]})
    assert (logo.status_code, logo.headers["cache-control"]) == (200, "no-cache")
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


@pytest.mark.parametrize(
    ("zone", "language", "shown"),
    [
        ("Asia/Yekaterinburg", "en", "Yekaterinburg"),
        ("Asia/Yekaterinburg", "ru", "Екатеринбург"),
        ("America/New_York", "en", "New York"),
        ("UTC", "ru", "UTC"),
    ],
)
async def test_desk_names_the_city_of_the_customers_zone(
    zone: str, language: str, shown: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk(scoring, time_zone=zone, window=None)
    await take(client)
    client.cookies.set("operator", "Anna")
    page = (await client.get(f"/desk/{task_id}", headers={"accept-language": language})).text
    assert f" · {shown}, " in page
    assert shown == zone or zone not in page
