"""Log-in, sessions and one-time links, over HTTP and against the database."""

from __future__ import annotations

import asyncio
import html
import json
import re

import httpx2
import pytest
import structlog

from services.scoring.people import accounts, log_in
from services.scoring.people.hashing import PasswordHashing
from services.scoring.repository import programs
from shared.contract.vocabulary import Role
from shared.database import db
from shared.web.staff.tickets import LASTING
from tests.integration.scoring.people.conftest import PAGE, PASSWORD, MachineClock, Open, enter, invited, joined
from tests.integration.scoring.stand import Scoring


async def test_link_makes_a_password_and_the_password_a_session(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    link = (await invited(scoring, "olga", Role.SUPERVISOR)).url("")
    shown = await web.get(link)
    assert (shown.status_code, "Olga Petrova, choose a password" in shown.text) == (200, True)
    assert (await web.get(link)).status_code == 200  # a scanner that opens it spends nothing
    done = await web.post(link, data={"password": PASSWORD, "again": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "http://127.0.0.1:8000/")
    assert (await web.get("/")).status_code == 200
    async with opened() as other:
        assert (await enter(other, "OLGA ")).status_code == 303
        assert (await other.get("/desk")).status_code == 200
        assert (await other.get("/people", headers={"accept": "*/*"})).status_code == 403
    assert (await web.post(link, data={"password": PASSWORD, "again": PASSWORD})).status_code == 410
    assert "does not work any more" in (await web.get(link)).text


@pytest.mark.parametrize(
    ("password", "again", "why"),
    [
        ("short one", "short one", "at least 15 characters"),
        (PASSWORD, PASSWORD + "x", "not the same"),
        ("passwordpassword", "passwordpassword", "easy to guess"),
        ("olga petrova olga", "olga petrova olga", "made of your name"),
        ("aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("x" * 1000, "x" * 1000, "at most 128"),
    ],
)
async def test_weak_password_is_refused_and_the_link_stays(
    web: httpx2.AsyncClient, scoring: Scoring, password: str, again: str, why: str
) -> None:
    link = (await invited(scoring, "olga", Role.OPERATOR)).url("")
    refused = await web.post(link, data={"password": password, "again": again})
    assert (refused.status_code, why in refused.text) == (422, True)
    assert (await web.post(link, data={"password": PASSWORD, "again": PASSWORD})).status_code == 303


async def test_name_of_a_brand_is_no_password(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        document = json.dumps({"title": "After a purchase", "brand": {"name": "Riverside"}})
        await programs.store_programs(session, [("purchase", 1, document, None)])
    link = (await invited(scoring, "olga", Role.OPERATOR)).url("")
    refused = await web.post(link, data={"password": "Riverside-for-us", "again": "Riverside-for-us"})
    assert (refused.status_code, "of a brand" in refused.text) == (422, True)


async def test_link_that_two_send_at_once_makes_one_password(opened: Open, scoring: Scoring) -> None:
    link = (await invited(scoring, "olga", Role.OPERATOR)).url("")
    async with opened() as one, opened() as two:
        both = await asyncio.gather(
            *(
                web.post(link, data={"password": text, "again": text})
                for web, text in ((one, PASSWORD), (two, PASSWORD[::-1]))
            )
        )
    assert sorted(each.status_code for each in both) == [303, 410]


async def test_password_is_the_same_in_every_way_to_type_it(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    composed, decomposed = "на кухне й кофе ё чай", "на кухне й кофе ё чай"
    link = (await invited(scoring, "Ольга", Role.OPERATOR)).url("")
    assert (await web.post(link, data={"password": composed, "again": composed})).status_code == 303
    async with opened() as other:
        assert (await enter(other, "ОЛЬГА", decomposed)).status_code == 303


async def test_nobody_learns_from_a_refusal_who_exists(web: httpx2.AsyncClient, opened: Open, scoring: Scoring) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await invited(scoring, "new", Role.OPERATOR)
    async with scoring.database.sessions.begin() as session:
        off = await accounts.add(session, login="off", name="Off", roles=["operator"])
        await db.fetch(
            session,
            "UPDATE people p SET off_at = now(), password = o.password FROM people o WHERE o.login = $2 AND p.id = $1",
            off.person.id,
            "olga",
        )
    texts = set()
    async with opened() as stranger:
        for login, password in (
            ("olga", "wrong"),
            ("nobody", PASSWORD),
            ("new", PASSWORD),
            ("off", PASSWORD),
            ("", ""),
        ):
            refused = await enter(stranger, login, password)
            assert (login, refused.status_code, "earshot" in stranger.cookies) == (login, 401, False)
            texts.add(refused.text.replace(f'name="login" value="{login}"', ""))
    assert len(texts) == 1


async def test_unknown_login_costs_as_many_hashes_as_a_known_one(
    web: httpx2.AsyncClient, scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    compared = []
    matches = PasswordHashing.matches

    async def counted(self: PasswordHashing, password: str, stored: str | None) -> bool:
        compared.append(stored is not None)
        return await matches(self, password, stored)

    monkeypatch.setattr(PasswordHashing, "matches", counted)
    await enter(web, "olga", "wrong")
    await enter(web, "nobody", "wrong")
    assert compared == [True, False]


async def test_guesses_wait_and_do_not_lock_the_person_out(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    async with opened() as thief, opened() as other:
        statuses = [(await enter(thief, "olga", f"guess {number}")).status_code for number in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert "Wait 10 seconds" in (await enter(thief, "olga", PASSWORD)).text
        assert (await enter(web, "olga")).status_code == 303  # in her own browser
        assert (await enter(other, "anna", "x")).status_code == 401
        machine.after(seconds=10)
        assert (await enter(other, "olga")).status_code == 303


async def test_one_address_guesses_no_faster_with_many_logins(opened: Open) -> None:
    async with opened(peer="8.8.4.4") as thief:
        statuses = [(await enter(thief, f"name-{number}", "x")).status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]


def test_hundred_thousand_attempts_are_refused_without_a_hash_and_forgotten() -> None:
    limits = log_in.GuessLimits()
    for number in range(100_000):
        try:
            limits.check(f"name-{number}", client="203.0.113.9")
        except log_in.TooManyGuesses:
            continue
    assert len(limits.client) == 1
    assert len(limits.login) <= 200


async def test_device_of_somebody_else_does_not_help_to_guess(opened: Open, scoring: Scoring) -> None:
    async with opened() as thief, opened() as olga:
        await joined(thief, scoring, "thief", Role.OPERATOR)
        await joined(olga, scoring, "olga", Role.ADMINISTRATOR)
        assert [(await enter(thief, "olga", str(number))).status_code for number in range(11)] == [401] * 10 + [429]


async def test_refusals_are_logged_without_what_was_typed(web: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        await enter(web, "my password by mistake", "other secret")
    assert [{**line, "log_level": ""} for line in logs if line["event"].startswith("log_in")] == [
        {"event": "log_in.refused", "result": "refused", "person": None, "log_level": ""}
    ]


async def test_session_goes_on_while_it_is_used_and_ends_when_it_is_not(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.SUPERVISOR)
    for _ in range(20):
        machine.after(minutes=30)
        assert (await web.get("/account")).status_code == 200
    machine.after(minutes=61)
    asked = await web.get("/account")
    assert (asked.status_code, asked.headers["location"]) == (307, "/login/renew?next=%2Faccount")
    shown = await web.get("/login/renew?next=/account")
    assert (shown.status_code, "Your log-in has ended" in shown.text) == (200, True)


@pytest.mark.parametrize(
    "sent", [{"x-earshot-background": "1"}, {"accept": "text/event-stream"}], ids=["refresh", "stream"]
)
async def test_page_that_nobody_touches_does_not_keep_the_session(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock, sent: dict[str, str]
) -> None:
    await joined(web, scoring, "olga", Role.SUPERVISOR)
    for _ in range(5):
        machine.after(minutes=11)
        assert (await web.get("/desk", headers=sent)).status_code == 200
        renewal = await web.get("/login/renew?next=/mailbox", headers=sent)
        assert renewal.status_code == 307
    assert (await web.get("/desk")).status_code == 200  # a person, after 55 minutes
    machine.after(minutes=59)
    assert (await web.get("/desk", headers=sent)).status_code == 200
    machine.after(minutes=2)
    assert (await web.get("/desk", headers=PAGE | sent)).status_code in (307, 401)


async def test_session_ends_after_its_day_even_if_it_is_used(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.ADMINISTRATOR)
    for _ in range(12 * 3 - 1):
        machine.after(minutes=20)
        assert (await web.get("/people")).status_code == 200
    machine.after(minutes=20)
    assert (await web.get("/people")).status_code == 307


async def test_cookie_that_was_stolen_is_worth_nothing_after_the_log_out(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    stolen = web.cookies["earshot"]
    assert (await web.post("/account/log-out")).status_code == 303
    assert "earshot" not in web.cookies
    async with opened(cookie=f"earshot={stolen}") as thief:
        assert (await thief.get("/account")).status_code == 307
        assert "Log in" in (await thief.get("/login/renew?next=/account")).text


async def test_log_in_begins_another_session_than_the_cookie_that_was_there(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    """Session fixation: whoever planted a cookie does not become the one who logs in with it."""
    async with opened() as thief:
        await joined(thief, scoring, "thief", Role.OPERATOR)
        await joined(web, scoring, "olga", Role.ADMINISTRATOR)
        web.cookies.set("earshot", thief.cookies["earshot"], domain="localhost", path="/")
        assert (await enter(web, "olga")).status_code == 303
        assert (await thief.get("/people", headers={"accept": "*/*"})).status_code == 403


@pytest.mark.parametrize("login", ["olga", "anna"])
async def test_log_in_ends_the_session_that_the_browser_had(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, login: str
) -> None:
    async with opened() as other:
        await joined(other, scoring, "anna", Role.OPERATOR)
        await joined(web, scoring, "olga", Role.OPERATOR)
        copy = web.cookies["earshot"]
        assert (await enter(web, login)).status_code == 303
        assert (await web.get("/desk")).status_code == 200
        async with opened(cookie=f"earshot={copy}") as former:
            assert (await former.get("/account")).status_code == 307
        assert (await other.get("/desk")).status_code == 200


async def test_role_that_is_taken_away_counts_at_the_next_request(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    async with opened() as admin:
        await joined(admin, scoring, "admin", Role.ADMINISTRATOR)
        person = (await invited(scoring, "olga", Role.SUPERVISOR)).person
        async with scoring.database.sessions.begin() as session:
            link = (await accounts.invite(session, person)).url("")
        await web.post(link, data={"password": PASSWORD, "again": PASSWORD})
        assert (await web.get("/suspects")).status_code == 200
        await admin.post(f"/people/{person.id}", data={"name": "Olga", "role": "operator"})
        assert (await web.get("/suspects", headers={"accept": "*/*"})).status_code == 403
        page = await web.get("/desk")
        assert "Suspects" not in page.text
        await admin.post(f"/people/{person.id}/off")
        assert (await web.get("/desk")).status_code == 307
        assert (await enter(web, "olga")).status_code == 401


async def test_new_password_ends_all_other_sessions(web: httpx2.AsyncClient, opened: Open, scoring: Scoring) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    async with opened() as other:
        await enter(other, "olga")
        new = "four other unrelated words"
        given = {"old": PASSWORD, "password": new, "again": new}
        assert (await web.post("/account/password", data=given | {"old": "x"})).status_code == 422
        assert (await web.post("/account/password", data=given | {"again": "x"})).status_code == 422
        assert (await web.post("/account/password", data=given | {"password": "x", "again": "x"})).status_code == 422
        assert (await other.get("/account")).status_code == 200
        copy = web.cookies["earshot"]
        assert (await web.post("/account/password", data=given)).status_code == 303
        assert (await web.get("/account")).status_code == 200
        async with opened(cookie=f"earshot={copy}") as thief:
            assert (await thief.get("/account")).status_code == 307
        assert (await other.get("/account")).status_code == 307
        assert (await enter(other, "olga", new)).status_code == 303


async def test_one_session_is_ended_from_another(web: httpx2.AsyncClient, opened: Open, scoring: Scoring) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    async with opened(**{"user-agent": "the old phone"}) as phone:
        await enter(phone, "olga")
        page = (await web.get("/account")).text
        assert "the old phone" in page
        (end,) = re.findall(r'action="(/account/sessions/[^"]+/end)"', page)
        async with opened() as anna:
            await joined(anna, scoring, "anna", Role.OPERATOR)
            await anna.post(end)
            assert (await phone.get("/account")).status_code == 200  # only one's own
        assert (await web.post(end)).status_code == 303
        assert (await phone.get("/account")).status_code == 307


async def test_what_was_typed_when_the_session_ended_is_offered_again(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    machine.after(hours=3)
    typed = {"score": "3", "comment": 'I "waited" <long>\nand long, ждала', "reason": ["wait", "price"]}
    asked = await web.post("/desk/0199/answer", data=typed)
    assert asked.status_code == 307
    shown = await web.post(asked.headers["location"], data=typed)
    assert "What you typed is kept" in shown.text
    hidden = dict(re.findall(r'name="(kept|next)" value="([^"]*)"', shown.text))

    again = await enter(web, "olga", **{name: html.unescape(value) for name, value in hidden.items()})
    assert again.status_code == 200
    assert 'action="http://127.0.0.1:8000/desk/0199/answer"' in again.text
    fields = [
        (name, html.unescape(value))
        for name, value in re.findall(r'hidden" name="([^"]*)" value="([^"]*)"', again.text)
    ]
    assert fields == [("score", "3"), ("comment", typed["comment"]), ("reason", "wait"), ("reason", "price")]


async def test_password_is_never_in_the_page_of_the_log_in(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    machine.after(hours=3)
    typed = {"old": "an old secret phrase", "password": "a new secret phrase", "again": "a new secret phrase"}
    asked = await web.post("/account/password", data=typed)
    shown = await web.post(asked.headers["location"], data=typed)
    assert ("Log in" in shown.text, "secret phrase" in shown.text) == (True, False)


async def test_what_was_typed_is_not_offered_to_somebody_else(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    async with opened() as other:
        await joined(other, scoring, "anna", Role.OPERATOR)
    machine.after(hours=3)
    asked = await web.post("/desk/0199/answer", data={"comment": "of Olga's customer"})
    shown = await web.post(asked.headers["location"], data={"comment": "of Olga's customer"})
    hidden = {name: html.unescape(text) for name, text in re.findall(r'name="(kept|next)" value="([^"]*)"', shown.text)}
    answer = await enter(web, "anna", **hidden)
    assert (answer.status_code, "Olga" in answer.text) == (303, False)


async def test_stranger_s_form_is_not_kept(web: httpx2.AsyncClient) -> None:
    shown = await web.post("/login/renew?next=/desk/take", data={"comment": "whatever"})
    assert ("Log in" in shown.text, "whatever" in shown.text) == (True, False)


@pytest.mark.parametrize(
    ("path", "typed", "page"),
    [
        ("/desk/0199/answer", {"comment": "of Olga's customer"}, "/desk"),
        ("/desk/0199/next", {}, "/desk"),
        ("/account/password", {"old": "x"}, "/account"),
    ],
)
async def test_log_in_after_a_form_that_is_not_sent_again_leads_to_the_page_above(  # noqa: PLR0917 - fixtures
    web: httpx2.AsyncClient,
    opened: Open,
    scoring: Scoring,
    machine: MachineClock,
    path: str,
    typed: dict[str, str],
    page: str,
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    async with opened() as other:
        await joined(other, scoring, "anna", Role.OPERATOR)
    machine.after(hours=3)
    asked = await web.post(path, data=typed)
    shown = await web.post(asked.headers["location"], data=typed)
    hidden = {name: html.unescape(text) for name, text in re.findall(r'name="(kept|next)" value="([^"]*)"', shown.text)}
    entered = await enter(web, "anna", **hidden)
    assert entered.headers["location"] == f"http://127.0.0.1:8000{page}"


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/desk/0199/outcome", "/desk"),
        ("/suspects/0199/doubt", "/suspects"),
        ("/target", "/"),
        ("/login/code", "/login"),
    ],
)
async def test_address_of_a_form_leads_to_its_page(
    web: httpx2.AsyncClient, scoring: Scoring, path: str, page: str
) -> None:
    await joined(web, scoring, "olga", *Role)
    answer = await web.get(path, headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert (await web.get(page, headers=PAGE)).status_code == 200
    program = await web.get(path, headers={"accept": "application/json"})
    assert (program.status_code, program.headers["content-type"]) == (405, "application/problem+json")


async def test_page_that_the_roles_do_not_open_says_so_with_the_menu(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    told = await web.get("/people", follow_redirects=True)
    assert (told.status_code, "You are operator." in told.text, 'href="/desk"' in told.text) == (403, True, True)


@pytest.mark.parametrize("kept", ["", "x", "[1]", "{}", "null", '[["a"]]', json.dumps([["a", "b" * 200_000]])])
async def test_damaged_form_is_dropped_and_the_log_in_works(
    web: httpx2.AsyncClient, scoring: Scoring, kept: str
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    answer = await enter(web, "olga", kept=kept, next="/desk")
    assert answer.status_code in (303, 413)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/javascript:alert(1)",
        "/s/token",
        "/login",
        "/join/x",
        "/desk\r\nx: y",
        "/unknown",
        "desk",
        "",
    ],
)
async def test_log_in_leads_to_a_staff_page_of_ours_or_to_the_first_of_the_menu(
    web: httpx2.AsyncClient, scoring: Scoring, target: str
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    assert (await enter(web, "olga", next=target)).headers["location"] == "http://127.0.0.1:8000/desk"
    assert (await enter(web, "olga", next="/account?x=1")).headers["location"] == "http://127.0.0.1:8000/account?x=1"


async def test_renewal_sends_a_page_and_a_form_back_to_the_other_service(
    web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.SUPERVISOR)
    machine.after(seconds=LASTING.total_seconds() + 1)
    for method in ("GET", "POST"):
        back = await web.request(method, "/login/renew?next=/suppressions/1/release%3Fa=b")
        assert back.status_code == 307
        assert back.headers["location"] == "http://127.0.0.1:8000/suppressions/1/release?a=b"
        assert "earshot=" in back.headers["set-cookie"]
        machine.after(seconds=LASTING.total_seconds() + 1)


async def test_service_that_refuses_a_fresh_ticket_makes_no_circle(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    """Its clock is ten minutes off, or it has other keys."""
    await joined(web, scoring, "olga", Role.SUPERVISOR)
    told = await web.get("/login/renew?next=/invitations")
    assert (told.status_code, "clock differs by more than a minute" in told.text) == (409, True)


async def test_over_plain_http_nobody_can_log_in_but_on_this_machine(opened: Open, scoring: Scoring) -> None:
    link = (await invited(scoring, "olga", Role.OPERATOR)).url("")
    async with opened(base_url="http://192.168.1.5:18000") as lan:
        for answer in (
            await lan.get("/login"),
            await enter(lan, "olga"),
            await lan.get(link),
            await lan.post(link, data={"password": PASSWORD, "again": PASSWORD}),
            await lan.get("/login/renew?next=/"),
        ):
            assert answer.status_code == 403
            assert "reverse_proxy 127.0.0.1:18000" in answer.text
            assert "set-cookie" not in answer.headers
    async with opened() as here:
        assert (await here.post(link, data={"password": PASSWORD, "again": PASSWORD})).status_code == 303


async def test_in_the_demo_everybody_may_become_a_sample_person(web: httpx2.AsyncClient) -> None:
    for role in Role:
        page = await web.get("/login")
        assert f'value="{role}"' in page.text
        entered = await web.post("/login/sample", data={"role": role})
        assert entered.status_code == 303
        assert (await web.get(entered.headers["location"].removeprefix("http://127.0.0.1:8000"))).status_code in (
            200,
            404,
        )
        assert role.label in (await web.get("/account")).text
    operator = await web.post("/login/sample", data={"role": "operator", "next": "/"})
    assert operator.headers["location"].endswith("/desk")
    assert (await web.post("/login/sample", data={"role": "astronaut"})).status_code == 404


async def test_nobody_may_outside_of_the_demo(client: httpx2.AsyncClient) -> None:
    client.auth = None  # type: ignore[assignment]
    assert "Look around as" not in (await client.get("/login")).text
    assert (await client.post("/login/sample", data={"role": "administrator"})).status_code == 404


async def test_ended_sessions_and_links_are_forgotten(scoring: Scoring, web: httpx2.AsyncClient) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await invited(scoring, "anna", Role.OPERATOR)
    async with scoring.database.sessions.begin() as session:
        assert await log_in.forget_ended(session, now=scoring.clock.now()) == 0
        await db.fetch(session, "UPDATE staff_sessions SET ends_at = now() - interval '1 s'")
        await db.fetch(session, "UPDATE staff_links SET expires_at = now() - interval '1 s'")
        assert await log_in.forget_ended(session, now=scoring.clock.now()) == 1
        assert await db.fetch(session, "SELECT FROM staff_links") == []


async def test_log_ins_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = PasswordHashing()
    monkeypatch.setattr("services.scoring.people.hashing.MOST_WAITING", 3)
    results = await asyncio.gather(*(hashing.matches("x", None) for _ in range(5)), return_exceptions=True)
    assert [type(each).__name__ for each in results] == ["bool"] * 3 + ["Unavailable"] * 2
    assert not await hashing.matches("x", None)


async def test_log_in_whose_client_goes_away_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = PasswordHashing()
    monkeypatch.setattr("services.scoring.people.hashing.MOST_WAITING", 1)
    waiting = asyncio.create_task(hashing.hash("x"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await hashing.matches("y", await hashing.hash("y"))
