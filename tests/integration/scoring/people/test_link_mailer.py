"""One-time links by mail: sent by an administrator or asked for at the log-in, over a real SMTP server."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from deploy.cli import app as command
from services.scoring.people import accounts
from services.scoring.people import link_mailer as link_mailers
from services.scoring.people.link_mailer import LinkMailer
from services.scoring.people.log_in import GuessLimits, TooManyGuesses
from services.scoring.repository.people import accounts as stored_accounts
from services.scoring.repository.people import identities
from shared.contract.vocabulary import Role, Service
from shared.health import Health
from shared.languages.current import current
from shared.smtp_server import SmtpServer
from shared.staff_mail import StaffMail
from shared.web.rate_limit import RateLimit
from tests.audit import ended
from tests.fakes import SmtpSink, scripted_smtp, smtp_sink
from tests.integration.scoring.people.conftest import PASSWORD, Open, enter, joined
from tests.integration.scoring.people.test_import import stored
from tests.integration.scoring.people.test_people_page import link_in, person_of
from tests.integration.scoring.stand import Scoring

ORIGIN = "http://127.0.0.1:8000"
ANNA = {"login": "anna", "name": "Anna Orlova", "role": "manager", "email": "anna@shop.example"}
CHOSEN = {"password": PASSWORD, "again": PASSWORD}


def mailer_over(port: int, scoring: Scoring, *, per_hour: int = 100) -> LinkMailer:
    server = SmtpServer.from_url(f"smtp://127.0.0.1:{port}")
    mail = StaffMail(server, sender="earshot@shop.example", per_hour=per_hour, service=Service.SCORING)
    limits = GuessLimits(login=RateLimit(per_second=1 / 512, burst=3, monotonic=lambda: 100.0))
    return LinkMailer(scoring.database.sessions, mail, origin=ORIGIN, limits=limits)


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with smtp_sink() as sink:
        yield sink


@pytest.fixture
def link_mailer(sink: SmtpSink, scoring: Scoring) -> LinkMailer:
    return mailer_over(sink.port, scoring, per_hour=4)


@pytest.fixture
async def admin(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    await joined(web, scoring, "admin", Role.ADMINISTRATOR)
    return web


def text_of(sink: SmtpSink, at: int = -1) -> str:
    content = sink.mails[at].get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def mailed_link(sink: SmtpSink, at: int = -1) -> str:
    (link,) = re.findall(rf"{ORIGIN}(/join/[\w-]+)", text_of(sink, at))
    return str(link)


async def send(admin: httpx2.AsyncClient, page: str) -> httpx2.Response:
    """Press the button of a page that sends links by mail."""
    (people,) = re.findall(r'name="people" value="([^"]+)"', page)
    return await admin.post("/people/mail", data={"people": people})


async def test_new_person_gets_a_link_by_mail_and_the_one_that_was_shown_ends(
    admin: httpx2.AsyncClient, opened: Open, sink: SmtpSink
) -> None:
    added = (await admin.post("/people", data=ANNA)).text
    assert not sink.mails
    sent = await send(admin, added)
    assert (sent.status_code, "Sent: 1 link" in sent.text, "/join/" in sent.text) == (200, True, False)
    assert sink.recipients == ["anna@shop.example"]
    async with opened() as anna:
        assert (await anna.get(link_in(added))).status_code == 410
        link = mailed_link(sink)
        assert (await anna.get(link)).status_code == 200
        assert (await anna.post(link, data=CHOSEN)).status_code == 303
        assert (await anna.get(link)).status_code == 410


@pytest.mark.parametrize("email", ["", None])
async def test_person_without_an_address_is_offered_no_mail(admin: httpx2.AsyncClient, email: str | None) -> None:
    form = {name: value for name, value in (ANNA | {"email": email}).items() if value is not None}
    assert "/people/mail" not in (await admin.post("/people", data=form)).text
    person = await person_of(admin, "Anna Orlova")
    assert "/people/mail" not in (await admin.get(person)).text
    sent = await admin.post("/people/mail", data={"people": person.removeprefix("/people/")})
    assert (sent.status_code, "Nobody was sent a link" in sent.text) == (200, True)


async def test_mail_that_was_refused_is_said_with_the_link_to_copy_and_can_be_sent_again(
    admin: httpx2.AsyncClient, opened: Open, sink: SmtpSink
) -> None:
    sink.replies["anna@shop.example"] = "550 no such user"
    failed = await send(admin, (await admin.post("/people", data=ANNA)).text)
    assert ("0 of 1 link was sent" in failed.text, "Anna Orlova" in failed.text) == (True, True)
    (link,) = re.findall(rf"{ORIGIN}(/join/[\w-]+)", failed.text)
    async with opened() as anna:
        assert (await anna.get(link)).status_code == 200
        sink.replies.clear()
        assert "Sent: 1 link" in (await send(admin, failed.text)).text
        assert (await anna.get(link)).status_code == 410
        assert (await anna.post(mailed_link(sink), data=CHOSEN)).status_code == 303


async def test_import_sends_up_to_the_ceiling_and_shows_the_other_links(
    admin: httpx2.AsyncClient, opened: Open, sink: SmtpSink
) -> None:
    lines = [f"p{number},Person {number},operator,p{number}@shop.example" for number in range(6)]
    file = "\n".join(["Логин,ФИО,Роль,Эл. почта", *lines, "q,Without,operator,"]).encode()
    page = await stored(admin, file)
    assert "Send 6 links by mail" in page
    of_q = re.findall(rf"{ORIGIN}(/join/[\w-]+)", page)[-1]
    sent = (await send(admin, page)).text
    assert ("4 of 6 links were sent" in sent, len(sink.mails)) == (True, 4)
    assert sent.count("the ceiling of mails an hour is reached") == 2
    (first, _) = re.findall(rf"{ORIGIN}(/join/[\w-]+)", sent)
    async with opened() as anybody:
        assert (await anybody.get(first)).status_code == 200
        assert (await anybody.get(of_q)).status_code == 200
        assert len({mailed_link(sink, at) for at in range(4)}) == 4


async def test_import_adds_and_changes_addresses_and_a_blank_one_changes_nothing(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    async def emails() -> list[str]:
        return [row["email"] for row in await scoring.rows("SELECT email FROM people WHERE login = 'anna'")]

    for cell, changes, expected in (
        ("anna@shop.example", "1 added, 0 changed", "anna@shop.example"),
        ("", "0 added, 0 changed", "anna@shop.example"),
        ("a@магазин.рф", "0 added, 1 changed", "a@xn--80aairftm.xn--p1ai"),
    ):
        assert changes in await stored(admin, f"login,name,roles,e-mail\nanna,Anna,operator,{cell}\n".encode())
        assert await emails() == [expected]
    assert "0 added, 0 changed" in await stored(admin, b"login,name,roles\nanna,Anna,operator\n")
    assert await emails() == [expected]


async def test_file_whose_logins_are_addresses_has_them_as_addresses_too(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await stored(admin, b"e-mail,name,roles\nanna@shop.example,Anna,operator\n")
    assert await scoring.rows("SELECT login, email FROM people WHERE name = 'Anna'") == [
        {"login": "anna@shop.example", "email": "anna@shop.example"}
    ]


@pytest.mark.parametrize("email", ["anna", "a@b", "a@shop.example\r\nBcc: e@x.example", "<a@shop.example>", "a b@c.de"])
async def test_wrong_address_is_refused_by_the_form_and_the_file(admin: httpx2.AsyncClient, email: str) -> None:
    refused = await admin.post("/people", data=ANNA | {"email": email})
    assert (refused.status_code, "the e-mail address is not valid" in refused.text) == (422, True)
    cell = email.replace('"', '""')
    page = await stored(admin, f'login,name,roles,e-mail\nanna,Anna,operator,"{cell}"\n'.encode())
    assert "Line 2: the e-mail address is not valid" in page


async def test_address_is_changed_and_removed_on_the_page_of_a_person(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await admin.post("/people", data=ANNA)
    person = await person_of(admin, "Anna Orlova")
    form = {"name": "Anna Orlova", "role": "manager"}
    await admin.post(person, data=form)
    assert 'value="anna@shop.example"' in (await admin.get(person)).text
    await admin.post(person, data=form | {"email": "orlova@shop.example"})
    assert 'value="orlova@shop.example"' in (await admin.get(person)).text
    await admin.post(person, data=form | {"email": ""})
    assert await scoring.rows("SELECT email FROM people WHERE login = 'anna'") == [{"email": None}]


async def test_command_adds_a_person_with_an_address(
    scoring: Scoring, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATABASE_URL", urls["scoring"])
    add = ["people", "add", "anna", "--role", "operator", "--email"]
    wrong = await asyncio.to_thread(CliRunner().invoke, command, [*add, "anna"])
    assert (wrong.exit_code, "not valid" in wrong.output) == (1, True)
    right = await asyncio.to_thread(CliRunner().invoke, command, [*add, "anna@shop.example"])
    assert (right.exit_code, "/join/" in right.output) == (0, True)
    assert await scoring.rows("SELECT email FROM people") == [{"email": "anna@shop.example"}]


async def test_name_adds_no_header(admin: httpx2.AsyncClient, sink: SmtpSink) -> None:
    name = "=?utf-8?q?a=0D=0ABcc:_evil@x.example?="
    await send(admin, (await admin.post("/people", data=ANNA | {"name": name})).text)
    (mail,) = sink.mails
    assert sink.recipients == ["anna@shop.example"]
    assert mail["To"] == "anna@shop.example"
    assert not [key for key in mail if "bcc" in key.lower() or key.lower() == "cc"]
    assert name in text_of(sink)


async def test_secret_is_found_nowhere_but_in_the_mail(
    admin: httpx2.AsyncClient, opened: Open, sink: SmtpSink, scoring: Scoring, link_mailer: LinkMailer
) -> None:
    async with opened() as anna:
        with capture_logs() as lines:
            await send(admin, (await admin.post("/people", data=ANNA)).text)
            await anna.post("/login/forgot", data={"login": "anna"})
            await link_mailer.send_next()
            await anna.get(mailed_link(sink))
        secrets = [mailed_link(sink, at).removeprefix("/join/") for at in range(2)]
        tables = await scoring.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        )
        rows = [
            row["text"]
            for table in tables
            for row in await scoring.rows(f"SELECT t::text AS text FROM {table['table_name']} t")  # noqa: S608 - its name
        ]
        metrics = (await admin.get("/metrics")).text
    assert len(tables) > 20
    assert any("anna@shop.example" in row for row in rows)
    for secret in secrets:
        raw = base64.urlsafe_b64decode(secret + "=")
        for form in (secret, raw.hex(), base64.b64encode(raw).decode()):
            assert not [row for row in rows if form in row]
            assert form not in repr(lines) + metrics
    assert "anna@shop.example" not in repr(lines) + metrics


async def asked(web: httpx2.AsyncClient, login: str) -> httpx2.Response:
    return await web.post("/login/forgot", data={"login": login})


async def test_forgotten_password_is_replaced_by_a_mailed_link(
    opened: Open, sink: SmtpSink, link_mailer: LinkMailer, scoring: Scoring, admin: httpx2.AsyncClient
) -> None:
    await send(admin, (await admin.post("/people", data=ANNA)).text)
    async with opened() as anna:
        await anna.post(mailed_link(sink), data=CHOSEN)
        await anna.post("/account/log-out")
        assert 'href="/login/forgot"' in (await anna.get("/login")).text
        assert 'action="/login/forgot"' in (await anna.get("/login/forgot")).text
        await asked(anna, " ANNA ")
        assert len(sink.mails) == 1
        assert await link_mailer.send_next() is None
        assert "once and for 2 hours" in text_of(sink)
        (left,) = await scoring.rows("SELECT expires_at - clock_timestamp() AS s FROM staff_links")
        assert 7100 < left["s"].total_seconds() < 7200
        assert (await anna.get(mailed_link(sink))).status_code == 200
        assert (await enter(anna, "anna")).status_code == 303
        new = "four other unrelated words"
        assert (await anna.post(mailed_link(sink), data={"password": new, "again": new})).status_code == 303
        assert (await enter(anna, "anna")).status_code == 401


async def test_mail_is_in_the_language_of_whoever_asked(
    opened: Open, sink: SmtpSink, link_mailer: LinkMailer, admin: httpx2.AsyncClient
) -> None:
    await admin.post("/people", data=ANNA)
    async with opened() as anna:
        await anna.post("/login/forgot", data={"login": "anna"}, headers={"accept-language": "ru"})
    await link_mailer.send_next()
    assert "Она сработает один раз в течение 2 часов. Ваш логин: anna." in text_of(sink)
    assert current.get().code == "en"


async def test_nobody_learns_from_the_answer_who_exists(
    opened: Open, sink: SmtpSink, link_mailer: LinkMailer, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        for login, email in (("anna", "anna@shop.example"), ("bare", "")):
            await accounts.add(session, login=login, name=login, roles=["operator"], email=email)
        off = await accounts.add(session, login="off", name="off", roles=["operator"], email="off@shop.example")
        await accounts.turn(session, off.person.id, off=True)
        sso = await accounts.add(session, login="sso", name="sso", roles=["operator"], email="sso@shop.example")
        await identities.add(session, "https://sso.example", "1", person=sso.person.id)
    answers: list[tuple[Any, ...]] = []
    async with opened() as web:
        for login in ("anna", "bare", "off", "sso", "nobody", "", "two words", "a\0b", "x" * 5000):
            for _ in range(4):
                answer = await asked(web, login)
                answers.append((answer.status_code, answer.content, sorted(answer.headers.multi_items())))
    assert [status for status, *_ in answers[:4]] == [200, 200, 200, 429]
    assert all(answers[at : at + 4] == answers[:4] for at in range(0, 20, 4))
    assert {answer[:2] for answer in answers[20:]} <= {answer[:2] for answer in answers[:4]}
    assert not sink.mails
    while await link_mailer.send_next() is not None:
        pass
    assert set(sink.recipients) == {"anna@shop.example"}
    mailed = [row for row in await ended(scoring.database) if row[0] == "POST /login/forgot" and row[1]]
    assert len(mailed) == 3  # of anna; a request says nothing about whom it was, its mail does
    assert [each.invited.person.login for each in await link_mailer.send([off.person.id, sso.person.id])] == []


async def test_one_client_asks_no_faster_with_many_logins(opened: Open, link_mailer: LinkMailer) -> None:
    async with opened(peer="93.184.216.34") as web:
        answers = [(await asked(web, f"login-{number}")).status_code for number in range(110)]
    assert (answers[:100], answers[-1]) == ([200] * 100, 429)
    assert len(link_mailer._waiting) < 110


def test_one_login_is_slowed_after_three_requests(scoring: Scoring) -> None:
    mail = StaffMail(SmtpServer.from_url("smtp://127.0.0.1"), sender="", per_hour=1, service=Service.SCORING)
    mailer = LinkMailer(scoring.database.sessions, mail, origin=ORIGIN)
    for _ in range(3):
        mailer.ask("anna", client="")
    with pytest.raises(TooManyGuesses) as slowed:
        mailer.ask("ANNA", client="")
    assert 590 <= slowed.value.wait_s <= 600
    mailer.ask("oleg", client="")


async def test_what_waits_is_bounded(link_mailer: LinkMailer) -> None:
    for number in range(1100):
        link_mailer.ask(f"login-{number}", client="")
    assert len(link_mailer._waiting) == 1000


class TestOff:
    @pytest.fixture
    def link_mailer(self) -> None:
        return None

    async def test_no_page_offers_mail(self, admin: httpx2.AsyncClient, opened: Open) -> None:
        added = (await admin.post("/people", data=ANNA)).text
        person = await person_of(admin, "Anna Orlova")
        async with opened() as web:
            entrance = (await web.get("/login")).text
            assert [(await web.get("/login/forgot")).status_code, (await asked(web, "anna")).status_code] == [404, 404]
        for page in (added, (await admin.get(person)).text, entrance):
            assert ("/people/mail" in page, "/login/forgot" in page) == (False, False)
        assert (await admin.post("/people/mail", data={"people": ""})).status_code == 404


async def test_stop_waits_for_the_mails_that_were_asked_for(
    link_mailer: LinkMailer, sink: SmtpSink, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        for login in ("anna", "oleg"):
            await accounts.add(session, login=login, name=login, roles=["operator"], email=f"{login}@shop.example")
    stop = asyncio.Event()
    stop.set()
    for login in ("anna", "nobody", "oleg"):
        link_mailer.ask(login, client="")
    await link_mailer.run(stop, Health().heartbeat("link mails"))
    assert sink.recipients == ["anna@shop.example", "oleg@shop.example"]


async def test_stop_does_not_wait_for_a_server_that_hangs(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_mailers, "_ENDING_S", 2)
    async with scoring.database.sessions.begin() as session:
        await accounts.add(session, login="anna", name="Anna", roles=["operator"], email="anna@shop.example")
    stop = asyncio.Event()
    stop.set()
    async with scripted_smtp(GREETING=[b""]) as server, asyncio.timeout(15):
        mailer = mailer_over(server.port, scoring)
        mailer.ask("anna", client="")
        await mailer.run(stop, Health().heartbeat("link mails"))
    assert server.connections == 1


async def test_asking_wakes_the_mailer(link_mailer: LinkMailer, sink: SmtpSink, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await accounts.add(session, login="anna", name="Anna", roles=["operator"], email="anna@shop.example")
    stop, came = asyncio.Event(), asyncio.Event()
    sink.on_data = came.set
    running = asyncio.create_task(link_mailer.run(stop, Health().heartbeat("link mails")))
    async with asyncio.timeout(3):
        await asyncio.sleep(0)
        link_mailer.ask("anna", client="")
        await came.wait()
    stop.set()
    await running
    async with scoring.database.sessions.begin() as session:
        assert await stored_accounts.by_login(session, "anna") is not None


async def test_ids_that_are_none_are_refused(admin: httpx2.AsyncClient) -> None:
    assert (await admin.post("/people/mail", data={"people": "1 2"})).status_code == 422
