"""Suspect answers are stored and shown but not counted, and never replace a genuine answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from uuid_utils.compat import uuid7

from services.scoring.commands.verification import verify
from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.contract import events
from shared.contract.events import ContactAttempted, SurveyRequested, SurveyWithdrawn
from shared.contract.vocabulary import AttemptState, ChannelKind
from tests.integration.scoring.stand import Scoring, call_for, link_of, requested
from tests.staff import STAFF
from tests.staff_pages import done_on, undo

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
BOT = {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
BROWSER = {"user-agent": CHROME}
MAILS = 1000
COUNTED = "SELECT s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10 FROM buckets WHERE dimension = 'all'"


async def mailed(scoring: Scoring) -> SurveyRequested:
    """Make an invitation whose mail was just sent."""
    request = await scoring.asked()
    await scoring.receive(sent(scoring, request))
    return request


def sent(scoring: Scoring, request: SurveyRequested) -> ContactAttempted:
    return ContactAttempted(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        attempt_id=uuid7(),
        revision=1,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=AttemptState.SENT,
        at=scoring.clock.now(),
    )


def form(scoring: Scoring, score: int, *, read_for: float = 3.0) -> dict[str, str]:
    """The form of a browser that showed the page this many seconds ago."""
    return {"score": str(score), "shown": str(int((scoring.clock.now().timestamp() - read_for) * 1000))}


async def counted(scoring: Scoring) -> dict[int, int]:
    """Return the number of counted answers by score, after comparing them with a recomputation."""
    async with scoring.database.sessions.begin() as session:
        assert await verify(session) == []
    sums = await _sums(scoring)
    return {score: n for score in range(11) if (n := sums[f"s{score}"])}


async def _sums(scoring: Scoring) -> dict[str, int]:
    rows = await scoring.rows(COUNTED)
    return {f"s{score}": sum(row[f"s{score}"] for row in rows) for score in range(11)}


async def test_crawler_is_suspect_and_a_person_counts_after_it(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    link = link_of(request.invitation_id)
    saved = await client.post(link, data={"score": "10"}, headers=BOT)
    assert saved.status_code == 303
    assert await counted(scoring) == {}
    assert await scoring.rows("SELECT DISTINCT suspects, s10 FROM buckets") == [{"suspects": 1, "s10": 0}]
    [told] = await scoring.published("survey.answered")
    assert isinstance(told.payload, events.SurveyAnswered)
    assert told.payload.suspect
    page = (await client.get(f"{link}?score=10")).text
    assert "is saved" not in page  # the answer is suspect
    assert "It does not count: please choose yours." in page

    scoring.clock.moment += timedelta(days=2)
    await client.post(link, data=form(scoring, 10), headers=BROWSER)
    assert "It does not count" not in (await client.get(f"{link}?change=1")).text
    assert await counted(scoring) == {10: 1}
    [amended] = await scoring.published("answer.amended")
    assert isinstance(amended.payload, events.AnswerAmended)
    assert not amended.payload.suspect
    days = await scoring.rows("SELECT DISTINCT day FROM buckets WHERE s10 = 1")
    assert [row["day"].day for row in days] == [20]  # the day the person answered
    assert "your answer <strong>10</strong> is saved" in (await client.get(link)).text


@pytest.mark.parametrize("test", [False, True])
async def test_only_answers_of_test_surveys_are_marked_as_tests(
    scoring: Scoring, client: httpx2.AsyncClient, *, test: bool
) -> None:
    """Answers of withdrawn surveys are not counted either, but are no tests."""
    request = await scoring.asked(test=test)
    await scoring.receive(sent(scoring, request))
    await client.post(link_of(request.invitation_id), data={"score": "9"}, headers=BOT)
    told = SurveyWithdrawn(respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled")
    for event in (told, events.RespondentErased(respondent_id=request.respondent_id)):
        await scoring.receive(event)
        [answer] = (await client.get("/v1/answers", params={"program": "after-purchase"})).json()["answers"]
        assert (answer["suspect"], answer["test"]) == (True, test)


async def test_suspect_is_shown_with_its_reason_and_counts_when_confirmed(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    await client.post(link_of(request.invitation_id), data={"score": "9"}, headers=BOT)
    shown = (await client.get("/suspects")).text
    assert "sent by a known crawler" in shown
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    scoring.clock.moment = request.expires_at + timedelta(days=1)  # confirming is possible after the end of the survey
    for _ in range(2):
        pressed = await client.post(f"/suspects/{answer['answer_id']}/confirm")
        assert pressed.headers["location"] == "/suspects"
    assert await counted(scoring) == {9: 1}
    assert await scoring.versions("version, suspicion") == [
        {"version": 1, "suspicion": "crawler"},
        {"version": 2, "suspicion": None},
    ]
    assert "There are none." in (await client.get("/suspects")).text
    again = await client.post(f"/v1/answers/{answer['answer_id']}/confirm")
    assert again.json() == {"answer_id": str(answer["answer_id"]), "version": 2, "suspect": False}
    assert (await client.post(f"/v1/answers/{uuid7()}/confirm")).status_code == 404


async def test_suspect_answer_never_replaces_a_genuine_one(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """A scanner of archived mail sends every score a day later."""
    request = await mailed(scoring)
    link = link_of(request.invitation_id)
    scoring.clock.moment += timedelta(minutes=4)
    await client.post(link, data=form(scoring, 9) | {"comment": "Lovely.", "reasons": "taste"}, headers=BROWSER)
    scoring.clock.moment += timedelta(days=1)
    for score in range(11):
        await client.post(link, data=form(scoring, score), headers=BROWSER)
        scoring.clock.moment += timedelta(seconds=2)
    assert await counted(scoring) == {9: 1}
    answer = (await scoring.invitation(request.invitation_id)).genuine_answer
    assert answer is not None
    assert (answer.score, answer.comment, answer.reasons) == (9, "Lovely.", ("taste",))
    await client.post(link, data={"score": "1"}, headers=BOT)
    assert await counted(scoring) == {9: 1}
    scoring.clock.moment += timedelta(minutes=1)
    await client.post(link, data=form(scoring, 8), headers=BROWSER)
    assert await counted(scoring) == {8: 1}


async def test_scanner_that_presses_every_button_counts_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    scoring.clock.moment += timedelta(hours=1)
    link = link_of(request.invitation_id)
    await asyncio.gather(*(client.post(link, data=form(scoring, score), headers=BROWSER) for score in range(11)))
    assert await counted(scoring) == {}
    assert (await scoring.invitation(request.invitation_id)).genuine_answer is None


async def test_score_changed_every_twenty_seconds_is_not_suspect(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    link = link_of(request.invitation_id)
    for score in (8, 9, 3, 7):
        scoring.clock.moment += timedelta(seconds=20)
        await client.post(link, data=form(scoring, score), headers=BROWSER)
    assert await counted(scoring) == {7: 1}


async def test_person_who_tries_several_scores_counts_with_the_second_page(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    link = link_of(request.invitation_id)
    scoring.clock.moment += timedelta(minutes=5)
    where = ""
    for score in (8, 9, 3):
        where = (await client.post(link, data=form(scoring, score), headers=BROWSER)).headers["location"]
    assert "your answer <strong>3</strong> is saved" in (await client.get(where)).text
    assert await counted(scoring) == {}
    scoring.clock.moment += timedelta(seconds=40)
    why = {"reasons": "wait", "comment": "Slow.", "shown": form(scoring, 3)["shown"]}
    await client.post(link, data=why, headers=BROWSER)
    assert await counted(scoring) == {3: 1}


async def test_answer_that_staff_let_count_does_not_count_after_undo(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    await client.post(link_of(request.invitation_id), data={"score": "3"}, headers=BOT)
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    suspected = await counted(scoring)
    await client.post(f"/suspects/{answer['answer_id']}/confirm")
    page = (await client.get("/suspects")).text
    assert done_on(page) == "You let the answer 3 count."
    assert await counted(scoring) != suspected
    await undo(client, page)
    assert await counted(scoring) == suspected
    assert f"/suspects/{answer['answer_id']}/confirm" in (await client.get("/suspects")).text
    assert [event.payload.suspect for event in await scoring.published("answer.amended")] == [False, True]  # type: ignore[attr-defined]


async def test_nobody_takes_an_answer_out_of_the_score_that_was_not_just_confirmed(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    await scoring.say(request.invitation_id, 1)
    [answer] = await scoring.rows("SELECT answer_id, version FROM answers")
    counts = await counted(scoring)
    path, fields = f"/suspects/{answer['answer_id']}/doubt", {"replaces": answer["version"]}
    assert (await client.post(path, data=fields)).status_code == 409
    assert await counted(scoring) == counts
    await client.post(f"/suspects/{answer['answer_id']}/confirm")  # counts already: there is nothing to undo
    assert (await client.post(path, data=fields)).status_code == 409
    assert await counted(scoring) == counts


async def test_answer_that_was_amended_meanwhile_still_counts(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    await client.post(link_of(request.invitation_id), data={"score": "3"}, headers=BOT)
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    await client.post(f"/suspects/{answer['answer_id']}/confirm")
    page = (await client.get("/suspects")).text
    await scoring.say(request.invitation_id, 8)
    assert (await undo(client, page)).status_code == 409
    assert await scoring.rows("SELECT score, suspect FROM answers") == [{"score": 8, "suspect": False}]


async def test_last_score_of_a_run_is_stored_shown_and_can_be_confirmed(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await mailed(scoring)).invitation_id)
    where = ""
    for score, pause in ((3, 300), (9, 15), (2, 10), (7, 15)):
        scoring.clock.moment += timedelta(seconds=pause)
        where = (await client.post(link, data=form(scoring, score), headers=BROWSER)).headers["location"]
    assert "your answer <strong>7</strong> is saved" in (await client.get(where)).text
    assert await scoring.versions("score, suspect") == [
        {"score": 3, "suspect": False},
        {"score": 9, "suspect": False},
        {"score": 2, "suspect": True},
        {"score": 7, "suspect": True},
    ]
    assert await counted(scoring) == {}
    assert len(await scoring.published("detractor.reported")) == 1
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    await client.post(f"/suspects/{answer['answer_id']}/confirm")
    assert await counted(scoring) == {7: 1}


async def test_slow_scanner_counts_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """A run that takes longer than the window in which scores are compared."""
    link = link_of((await mailed(scoring)).invitation_id)
    for score in range(11):
        scoring.clock.moment += timedelta(seconds=12)
        await client.post(link, data=form(scoring, score), headers=BROWSER)
    assert await counted(scoring) == {}


async def test_restored_answer_is_shown_with_the_sent_score_and_alerts_only_once(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await mailed(scoring)).invitation_id)
    scoring.clock.moment += timedelta(minutes=5)
    await client.post(link, data=form(scoring, 3), headers=BROWSER)
    scoring.clock.moment += timedelta(days=1)
    where = ""
    for score in (9, 8, 2):
        where = (await client.post(link, data=form(scoring, score), headers=BROWSER)).headers["location"]
    assert await counted(scoring) == {3: 1}
    assert len(await scoring.published("detractor.reported")) == 1
    page = (await client.get(where)).text
    assert "Your answer so far is 3. Send another to change it." in page
    assert 'value="2" required checked' in page
    scoring.clock.moment += timedelta(seconds=40)
    await client.post(link, data=form(scoring, 2), headers=BROWSER)
    assert await counted(scoring) == {2: 1}


@pytest.mark.parametrize(
    ("said", "headers", "suspicion"),
    [
        ({"score": "9"}, BROWSER, "no_page"),
        ({"score": "9", "trap": "1"}, {}, "trap"),
        ({"score": "9"}, {"user-agent": "python-httpx2/0.28"}, None),  # an integration
    ],
)
async def test_form_sent_soon_after_a_message_is_checked_for_bots(
    said: dict[str, str], headers: dict[str, str], suspicion: str | None, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    scoring.clock.moment += timedelta(seconds=5)
    await client.post(link_of(request.invitation_id), data=said, headers=headers)
    assert await scoring.versions("suspicion") == [{"suspicion": suspicion}]


@pytest.mark.parametrize(
    ("since_mail", "read_for", "suspicion"),
    [
        (5, 0.2, "instant"),
        (5, 3, None),
        (180, 0.2, "instant"),
        (180, 3, None),
        (86_400, 0.2, "instant"),
        (9 * 86_400, 0.9, "instant"),
        (9 * 86_400, 1.1, None),
    ],
)
async def test_answer_within_a_second_of_showing_the_page_is_suspect_whenever_it_comes(
    since_mail: int, read_for: float, suspicion: str | None, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    scoring.clock.moment += timedelta(seconds=since_mail)
    await client.post(link_of(request.invitation_id), data=form(scoring, 9, read_for=read_for), headers=BROWSER)
    assert await scoring.versions("suspicion") == [{"suspicion": suspicion}]


async def test_answer_while_several_links_are_fetched_is_suspect(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    early, late = await mailed(scoring), await mailed(scoring)
    for request in (early, late):
        for score in range(11):
            await client.get(f"{link_of(request.invitation_id)}?score={score}", headers=BROWSER)
    scoring.clock.moment += timedelta(seconds=4)
    await client.post(link_of(early.invitation_id), data=form(scoring, 0), headers=BROWSER)
    scoring.clock.moment += timedelta(seconds=20)
    await client.post(link_of(late.invitation_id), data=form(scoring, 7), headers=BROWSER)
    assert await counted(scoring) == {7: 1}
    found = await scoring.versions("suspicion")
    assert [row["suspicion"] for row in found] == ["every_link", None]


async def test_scanner_three_minutes_after_the_mail_alarms_nobody_and_the_person_is_asked_again(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await mailed(scoring)
    link = link_of(request.invitation_id)
    scoring.clock.moment += timedelta(minutes=3)
    await client.get(f"{link}?score=0", headers=BROWSER)
    saved = await client.post(link, data=form(scoring, 0, read_for=0.2), headers=BROWSER)
    assert (saved.status_code, await counted(scoring)) == (303, {})
    assert await scoring.published("detractor.reported") == []
    [told] = await scoring.published("survey.answered")
    assert isinstance(told.payload, events.SurveyAnswered)
    assert told.payload.suspect
    assert "sent faster than anybody reads" in (await client.get("/suspects")).text
    scoring.clock.moment += timedelta(hours=5)
    await client.post(link, data=form(scoring, 9, read_for=1.5), headers=BROWSER)
    assert await counted(scoring) == {9: 1}


async def test_links_fetched_together_an_hour_later_make_the_answer_suspect(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await mailed(scoring)).invitation_id)
    scoring.clock.moment += timedelta(hours=1)
    for score in (0, 5, 10):
        await client.get(f"{link}?score={score}", headers=BROWSER)
    scoring.clock.moment += timedelta(seconds=4)
    await client.post(link, data=form(scoring, 0), headers=BROWSER)
    assert await scoring.versions("suspicion") == [{"suspicion": "every_link"}]


@pytest.mark.parametrize(
    ("setting", "since_mail", "fields"),
    [
        ("scanner_reading_s", 180, {"shown_s_ago": 0.2}),
        ("scanner_after_send_s", 180, {}),
        ("scanner_links_s", 180, {"shown_s_ago": 4, "links": 3}),
    ],
)
async def test_windows_are_settings(setting: str, since_mail: int, fields: dict[str, float], scoring: Scoring) -> None:
    """With a window of no time, nothing is suspect because of it."""
    suspicions = []
    for settings in (ScoringSettings(), ScoringSettings(**{setting: 0})):  # type: ignore[arg-type]
        app = build_app(settings, database=scoring.database, clock=scoring.clock)
        async with httpx2.AsyncClient(
            auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000"
        ) as client:
            request = await mailed(scoring)
            link = link_of(request.invitation_id)
            scoring.clock.moment += timedelta(seconds=since_mail)
            for score in range(int(fields.get("links", 0))):
                await client.get(f"{link}?score={score}", headers=BROWSER)
            data = form(scoring, 9, read_for=fields["shown_s_ago"]) if "shown_s_ago" in fields else {"score": "9"}
            await client.post(link, data=data, headers=BROWSER)
        rows = await scoring.versions("suspicion")
        suspicions.append(rows[-1]["suspicion"])
    assert (suspicions[0] is not None, suspicions[1]) == (True, None)


async def test_page_that_is_prefetched_or_previewed_does_not_count_as_opened(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await mailed(scoring)).invitation_id)
    for headers in ({"sec-purpose": "prefetch;prerender"}, {"x-purpose": "preview"}, {"x-moz": "prefetch"}, {}):
        await client.get(link, headers=BROWSER | headers)
    assert await scoring.rows("SELECT automatic FROM page_views ORDER BY automatic") == [
        {"automatic": False},
        *[{"automatic": True}] * 3,
    ]


async def test_suspect_answer_ends_neither_survey_nor_call(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    await client.post(link_of(request.invitation_id), data={"score": "9"}, headers=BOT)
    await scoring.receive(call_for(request))
    assert await scoring.published("call.closed") == []
    await scoring.receive(
        SurveyWithdrawn(respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled")
    )
    assert await counted(scoring) == {}
    assert await scoring.rows("SELECT DISTINCT invited, answered FROM invited") == [{"invited": 0, "answered": 0}]


async def test_suspect_opt_out_must_be_confirmed(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await mailed(scoring)
    stop = f"{link_of(request.invitation_id)}/stop"
    for headers, said in ((BOT, {}), (BROWSER, {}), (BROWSER, {"trap": "1"})):
        asked = await client.post(stop, data=said, headers=headers)
        assert (asked.status_code, "I am a person" in asked.text) == (200, True)
    assert await scoring.published("respondent.opted_out") == []
    assert "We will not ask you again" in (await client.post(stop, data={"sure": "1"}, headers=BROWSER)).text
    assert len(await scoring.published("respondent.opted_out")) == 1


async def fetch(client: httpx2.AsyncClient, method: str, path: str, query: str) -> int:
    """Call the application itself and return the status: for 15,000 requests a client would take most of the time."""
    assert isinstance(client._transport, httpx2.ASGITransport)
    headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", BROWSER["user-agent"].encode())]
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": ""} | {
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await client._transport.app(scope, receive, send)
    return statuses[0]


async def test_scanners_of_a_thousand_mails_count_nothing_and_lose_nothing(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    """Three scanners: HEAD only, every link once, every link twice; every tenth person answers before or after them."""
    requests = [requested() for _ in range(MAILS)]
    await scoring.receive(*requests, *(sent(scoring, request) for request in requests))
    people = {request.invitation_id: number % 11 for number, request in enumerate(requests) if number % 10 == 0}
    methods = (("HEAD",), ("GET",), ("GET", "GET"))

    async def scan(number: int, request: SurveyRequested) -> None:
        link = link_of(request.invitation_id)
        for method in methods[number % 3]:
            fetched = (fetch(client, method, link, f"score={score}") for score in range(11))
            assert set(await asyncio.gather(*fetched)) == {200}

    async def answer(ids: list[int]) -> None:
        ids_of = [requests[number].invitation_id for number in ids]
        posted = (client.post(link_of(each), data=form(scoring, people[each]), headers=BROWSER) for each in ids_of)
        await asyncio.gather(*posted)

    early = list(range(0, MAILS, 20))
    late = list(range(10, MAILS, 20))
    scoring.clock.moment += timedelta(seconds=30)
    await answer(early)
    for start in range(0, MAILS, 20):
        await asyncio.gather(*(scan(n, requests[n]) for n in range(start, start + 20)))
    scoring.clock.moment += timedelta(minutes=3)
    await answer(late)
    expected = {score: sum(said == score for said in people.values()) for score in range(11)}
    assert await counted(scoring) == {score: n for score, n in expected.items() if n}
    assert await scoring.rows("SELECT count(*) AS n FROM answers WHERE suspect") == [{"n": 0}]
