"""The page of the audit log, its export and its API: who may read it, what is found, how it looks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx2
import pytest
from playwright.async_api import Browser

from shared.contract.events import RespondentErased
from shared.contract.vocabulary import Role
from shared.database.audit import chain
from shared.database.audit.rows import FIRST_HASH, Actor, ActorKind, NewRow, Stage
from shared.database.audit.search import RecordedAct
from shared.web.audit.page import outcome
from tests.audit import audit_rows, ended
from tests.browser import DESKTOP, watched
from tests.integration.scoring.people.conftest import Open, invited, joined
from tests.integration.scoring.people.test_looks import join, looked_at, served
from tests.integration.scoring.stand import NOW, Scoring, call_for

PAGE = "/audit/scoring"


@pytest.fixture
async def officer(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    await joined(web, scoring, "officer", Role.PRIVACY_OFFICER, Role.ADMINISTRATOR)
    return web


async def test_page_shows_who_did_what_and_what_became_of_it(officer: httpx2.AsyncClient, scoring: Scoring) -> None:
    await officer.post("/people", data={"login": "anna", "name": "Anna Orlova", "role": "operator"})
    await officer.post("/people", data={"login": "anna", "name": "Anna Orlova", "role": "operator"})
    async with scoring.database.sessions.begin() as session:
        await chain.append(session, [NewRow(Stage.ASKED, Actor(ActorKind.COMMAND, "root"), "earshot export nps")])
    page = (await officer.get(PAGE)).text
    assert "Officer Petrova</a>" in page
    assert "Anna Orlova" in page  # whom it is about, as she is called today
    for text in ("add a person", "failed (422)", "command root", "under way", "earshot export nps", "done"):
        assert text in page
    assert "roles: operator; sees: everything" in page
    assert 'href="http://127.0.0.1:8000/audit/trigger"' in page
    assert len(await ended(scoring.database)) == 3  # to look at the page is not recorded


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [(60, None, "under way"), (61, None, "outcome unknown"), (0, 303, "done"), (0, 403, "refused (403)")],
)
def test_act_is_under_way_for_a_minute_and_then_its_outcome_is_unknown(
    seconds: int, status: int | None, words: str
) -> None:
    act = RecordedAct(1, NOW, "person", "olya", "POST /people", None, None, "{}", status, None)
    assert outcome(act, NOW + timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({"who": "officer"}, ["GET /stores/export", "POST /join/{secret}"]),
        ({"who": "ROOT"}, []),
        ({"who": "root"}, ["earshot export nps"]),
        ({"what": "EXPORT"}, ["earshot export nps", "GET /stores/export"]),
        ({"what": "one-time Link"}, ["POST /join/{secret}"]),
        ({"from": "2020-01-01", "to": "2020-01-31"}, []),
        ({"from": "2020-01-01", "to": ""}, ["earshot export nps", "GET /stores/export", "POST /join/{secret}"]),
        ({"customer": "42"}, ["earshot export nps"]),
        ({"customer": "43"}, []),
    ],
)
async def test_search_by_time_person_action_and_customer(
    officer: httpx2.AsyncClient, scoring: Scoring, search: Mapping[str, str], found: list[str]
) -> None:
    await officer.get("/stores/export")
    row = NewRow(Stage.ASKED, Actor(ActorKind.COMMAND, "root"), "earshot export nps", respondent="42")
    async with scoring.database.sessions.begin() as session:
        await chain.append(session, [row])
    page = (await officer.get(PAGE, params=search)).text
    known = ("earshot export nps", "GET /stores/export", "POST /join/{secret}")
    assert [action for action in known if f'title="{action}"' in page or f"<code>{action}</code>" in page] == found


@pytest.mark.parametrize("by", ["crm-77001", "crm-77003"])
async def test_customer_finds_what_was_done_to_calls_and_answers_until_the_erasure(
    opened: Open, scoring: Scoring, by: str
) -> None:
    request = await scoring.asked(customer_id="crm-77001")
    other = await scoring.asked(customer_id="crm-77002")
    call, others = call_for(request), call_for(other)
    await scoring.receive(call, others)
    async with opened() as web:
        await joined(web, scoring, "olya", Role.OPERATOR, Role.SUPERVISOR, Role.PRIVACY_OFFICER)
        for each in (others, call):
            await web.post("/desk/take", data={"task_id": str(each.task_id)})
            await web.post(f"/desk/{each.task_id}/answer", data={"score": "9"})
        (answer,) = await scoring.rows("SELECT answer_id FROM answers WHERE invitation_id = $1", request.invitation_id)
        await web.post(f"/suspects/{answer['answer_id']}/confirm")
        found = (await web.get("/v1/audit-scoring", params={"customer": by})).json()["rows"]
        done = [
            ("POST /desk/take", str(call.task_id)),
            ("POST /desk/{task_id}/answer", str(call.task_id)),
            ("POST /suspects/{answer_id}/confirm", str(answer["answer_id"])),
        ]
        assert [(each["action"], each["subject"]) for each in found if each["stage"] == "ended"] == (
            done if by == "crm-77001" else []
        )
        assert len(found) == 2 * len(done) * (by == "crm-77001")
        await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
        assert (await web.get("/v1/audit-scoring", params={"customer": by})).json()["rows"] == []


async def test_person_is_found_by_the_login_too(officer: httpx2.AsyncClient) -> None:
    (own,) = re.findall(r'href="(/people/[^"]+)">Officer Petrova<', (await officer.get("/people")).text)
    renamed = await officer.post(own, data={"name": "Vera Orlova", "role": ["privacy_officer", "administrator"]})
    assert renamed.status_code == 303
    assert "POST /people/{person_id}" in (await officer.get(PAGE, params={"who": "OFFICER"})).text
    assert "POST /people/{person_id}" not in (await officer.get(PAGE, params={"who": "petrova"})).text


async def test_older_acts_are_behind_a_link(officer: httpx2.AsyncClient, scoring: Scoring) -> None:
    rows = [NewRow(Stage.ASKED, Actor(ActorKind.COMMAND, "root"), f"earshot act {number}") for number in range(150)]
    async with scoring.database.sessions.begin() as session:
        await chain.append(session, rows)
    first = (await officer.get(PAGE, params={"what": "act"})).text
    assert first.count("earshot act") == 100
    (link,) = [part.split('"')[0] for part in first.split('href="')[1:] if "before=" in part]
    older = (await officer.get(link.replace("&amp;", "&"))).text
    assert (older.count("earshot act"), "Older" in older) == (50, False)


async def test_export_has_every_row_with_its_hash_and_is_itself_recorded(
    officer: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await officer.post("/people", data={"login": "anna", "name": "Anna", "role": "operator"})
    answer = await officer.get(f"{PAGE}/export", params={"customer": "anna@shop.example"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    answer = await officer.get(f"{PAGE}/export")
    lines = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    stored = await audit_rows(scoring.database)
    assert [(int(each["number"]), each["action"], each["hash"]) for each in lines] == [
        (each.number, each.action, each.hash.hex()) for each in stored
    ]
    assert stored[-1].action == "GET /audit/scoring/export"
    assert "anna@" not in str(stored)


async def test_days_and_times_of_the_page_are_those_of_the_reader(officer: httpx2.AsyncClient) -> None:
    officer.cookies.set("earshot-zone", "Etc%2FGMT-14")
    page = (await officer.get(PAGE)).text
    shown = re.findall(r'<time datetime="([^"]+)">(\d+ \w+ \d{4}, \d\d:\d\d)', page)
    there = [datetime.fromisoformat(at) + timedelta(hours=14) for at, _ in shown]
    assert [text for _, text in shown] == [f"{at.day} {at:%b %Y, %H:%M}" for at in there]
    assert "times in Etc/GMT-14" in page
    newest, oldest = max(there).date(), min(there).date()
    days = {"from": str(oldest), "to": str(newest)}, {"from": str(newest + timedelta(days=1))}
    assert [(await officer.get(PAGE, params=each)).text.count("<time") for each in days] == [len(shown), 0]


async def test_api_reads_on_from_the_last_row(officer: httpx2.AsyncClient) -> None:
    await officer.post("/people", data={"login": "anna", "name": "Anna", "role": "operator"})
    first = (await officer.get("/v1/audit-scoring", params={"limit": 2})).json()["rows"]
    rest = (await officer.get("/v1/audit-scoring", params={"after": first[-1]["number"]})).json()["rows"]
    assert [each["number"] for each in (*first, *rest)] == [1, 2, 3]
    assert first[0]["hash"] != FIRST_HASH.hex()
    assert (await officer.get("/v1/audit-scoring", params={"wrong": "1"})).status_code == 422


@pytest.mark.parametrize("role", Role)
async def test_log_is_read_by_privacy_officers_and_administrators_alone(
    opened: Open, scoring: Scoring, role: Role
) -> None:
    async with opened() as web:
        await joined(web, scoring, "olya", role)
        allowed = role in (Role.PRIVACY_OFFICER, Role.ADMINISTRATOR)
        for path in (f"{PAGE}/export", "/v1/audit-scoring"):
            answer = await web.get(path, headers={"accept": "*/*"})
            assert (path, answer.status_code) == (path, 200 if allowed else 403)
    refused = [each for each in await audit_rows(scoring.database) if each.stage == "refused"]
    assert [each.action for each in refused] == ([] if allowed else ["GET /audit/scoring/export"])


async def test_page_looks_right(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    link = (await invited(scoring, "officer", Role.PRIVACY_OFFICER, Role.ADMINISTRATOR)).url("")
    person = Actor(ActorKind.PERSON, "01999999-0000-7000-8000-000000000001")
    rows = [
        NewRow(Stage.ASKED, person, "POST /v1/answers/{answer_id}/confirm", "01999999-0000-7000-8000-000000000002"),
        NewRow(Stage.REFUSED, person, "POST /people", status=403),
        NewRow(Stage.ASKED, Actor(ActorKind.COMMAND, "root"), "earshot export answers", respondent="42"),
    ]
    async with scoring.database.sessions.begin() as session:
        await chain.append(session, rows)
    async with served(scoring, urls) as url, watched(browser, viewport=DESKTOP, bypass_csp=True) as context:
        await context.clear_cookies()
        page = await context.new_page()
        await join(page, url + link)
        await page.goto(f"{url}{PAGE}")
        await looked_at(page, "audit")
        await page.get_by_label("What").fill("no such thing")
        await page.get_by_role("button", name="Show").click()
        await page.get_by_text("No act is recorded for this search.").wait_for()
