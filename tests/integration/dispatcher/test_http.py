"""The history of an invitation, the mailbox, and the unsubscribe page."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import time, timedelta
from pathlib import Path

import httpx
import pytest

from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.wiring import open_accounts
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.events import Contact, ContactCap, PlanStep, Window
from shared.contract.vocabulary import ChannelKind, Service
from shared.messaging import codec
from shared.messaging.transport import EventLog, open_log
from shared.runtime import ServiceContext
from shared.web import links
from shared.web.links import Purpose
from tests.integration.dispatcher.conftest import LINK_KEYS, NOW, Chain, answered, plan, request

EMAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


@pytest.fixture
async def event_log(transport_url: str) -> AsyncIterator[EventLog]:
    log = open_log(transport_url)
    yield log
    await log.close()


def settings(**values: object) -> DispatcherSettings:
    return DispatcherSettings(_env_file=None, **values)  # type: ignore[arg-type]


@asynccontextmanager
async def browser(chain: Chain, **values: object) -> AsyncIterator[httpx.AsyncClient]:
    app = main.build_app(settings(**values), chain.database, chain.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(chain) as opened:
        yield opened


def unsubscribe_path(invitation: object) -> str:
    token = links.token(LINK_KEYS, "dev", Purpose.UNSUBSCRIBE, invitation)  # type: ignore[arg-type]
    return f"/u/{token}"


async def test_history_has_steps_and_attempts_and_masks_addresses(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    await chain.tick()
    reply = await client.get(f"/v1/invitations/{asked.invitation_id}")
    history = reply.json()
    assert [(step["channel"], step["state"]) for step in history["steps"]] == [
        ("email", "sent"),
        ("email", "planned"),
        ("sms", "waiting"),
        ("call", "waiting"),
    ]
    (attempt,) = history["steps"][0]["attempts"]
    assert (attempt["number"], attempt["provider"], attempt["state"]) == (1, "mailbox", "sent")
    assert (history["state"], history["outcome"]) == ("open", None)
    assert history["contact"] == {"email": "r***@example.com", "phone": "+1***01"}
    assert "r1@example.com" not in reply.text
    assert "Petrova" not in reply.text


async def test_history_of_a_silent_respondent_is_in_their_time_zone(chain: Chain, client: httpx.AsyncClient) -> None:
    late = Window(start=time(18), end=time(21))
    asked = request(
        contact=Contact(email="r1@example.com"),
        plan=[*plan((EMAIL, 0), (SMS, 1)), PlanStep(step=3, channel=EMAIL, delay_s=86400, window=late)],
        contact_caps=[ContactCap(name="one", limit=1, days=5)],
        time_zone="Asia/Tokyo",
    )
    await chain.take(asked)
    await chain.tick()
    await chain.tick_at(NOW + timedelta(days=2))
    history = (await client.get(f"/v1/invitations/{asked.invitation_id}")).json()
    assert history["send_at"] == "2026-03-02T21:00:00+09:00"
    assert history["steps"][0]["attempts"][0]["at"] == "2026-03-02T21:00:00+09:00"
    page = (await client.get(f"/invitations/{asked.invitation_id}")).text
    for text in (
        "times are those in Asia/Tokyo",
        "1. E-mail: sent",
        "mailbox · sent",
        "2. SMS: skipped",
        "no address for this channel",
        "3. E-mail: planned",
        "waits for the respondent&#39;s contact hours",
        "Thu 05 Mar 2026, 18:00",
    ):
        assert text in page
    assert "r1@example.com" not in page


async def test_history_of_an_answered_invitation_links_to_the_answer(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    leads = f'href="http://127.0.0.1:8000/v1/answers?invitation={asked.invitation_id}"'
    assert leads not in (await client.get(f"/invitations/{asked.invitation_id}")).text
    await chain.take(answered(asked))
    assert leads in (await client.get(f"/invitations/{asked.invitation_id}")).text


async def test_invitations_are_found_by_customer_and_from_the_mailbox(chain: Chain, client: httpx.AsyncClient) -> None:
    asked, other = request("anna"), request("somebody")
    await chain.take(asked, other)
    await chain.tick()
    listed = (await client.get("/v1/invitations", params={"customer": " ANNA "})).json()["invitations"]
    assert [each["id"] for each in listed] == [str(asked.invitation_id)]
    found = (await client.get("/invitations", params={"customer": "anna"})).text
    assert f"/invitations/{asked.invitation_id}" in found
    assert str(other.invitation_id) not in found
    for outcome, those in (("open", [other, asked]), ("exhausted", [])):
        listed = (await client.get("/v1/invitations", params={"outcome": outcome})).json()["invitations"]
        assert {each["id"] for each in listed} == {str(each.invitation_id) for each in those}
    assert (await client.get("/v1/invitations", params={"outcome": "lost"})).status_code == 422
    assert "No invitation has this outcome." in (await client.get("/invitations?customer=anna&outcome=answered")).text
    none = (await client.get("/invitations", params={"customer": "<b>nobody"})).text
    assert "no invitation here" in none
    assert 'href="http://127.0.0.1:8000/decisions?customer=%3Cb%3Enobody"' in none
    latest = (await client.get("/invitations")).text
    assert all(f"/invitations/{each.invitation_id}" in latest for each in (asked, other))
    assert ">somebody<" in latest
    (message,) = [m for m in (await client.get("/v1/mailbox")).json()["messages"] if m["to"].startswith("anna")]
    assert f'href="/invitations/{asked.invitation_id}"' in (await client.get(f"/mailbox/{message['id']}")).text


async def test_shop_gets_the_link_of_an_open_invitation_only(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request("anna")
    await chain.take(asked)
    token = links.token(LINK_KEYS, "dev", Purpose.ANSWER, asked.invitation_id)
    for wanted in ({"invitation_id": str(asked.invitation_id), "step": 2}, {"customer": "Anna"}):
        given = (await client.post("/v1/links", json=wanted)).json()
        assert given["invitation_id"] == str(asked.invitation_id)
        assert given["url"] == f"http://127.0.0.1:8000/s/{token}.{wanted.get('step', 0)}"
    refused = await client.post("/v1/links", json={"customer": "anna", "step": 7})
    assert (refused.status_code, refused.json()["title"]) == (422, "No such step")
    assert (await client.post("/v1/links", json={"customer": "nobody"})).status_code == 404
    assert (await client.post("/v1/links", json={})).status_code == 422
    await chain.take(answered(asked))
    assert (await client.post("/v1/links", json={"customer": "anna"})).status_code == 404


@pytest.mark.parametrize(("id_", "status"), [("0198d3a0-0000-7000-8000-00000000dead", 404), ("x", 422)])
async def test_history_of_an_unknown_invitation_is_a_problem(client: httpx.AsyncClient, id_: str, status: int) -> None:
    reply = await client.get(f"/v1/invitations/{id_}")
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")


async def test_mailbox_is_read_by_cursor_in_order_of_arrival(chain: Chain, client: httpx.AsyncClient) -> None:
    await chain.take(*(request(f"r{number}") for number in range(5)))
    await chain.tick()
    first = (await client.get("/v1/mailbox", params={"limit": 3})).json()["messages"]
    rest = (await client.get("/v1/mailbox", params={"after": first[-1]["cursor"]})).json()["messages"]
    assert (len(first), len(rest)) == (3, 2)
    cursors = [message["cursor"] for message in first + rest]
    assert cursors == sorted(cursors)
    assert {message["to"] for message in first + rest} == {f"r{number}@example.com" for number in range(5)}
    assert all("?score=10" in message["text"] and message["html"] for message in first)
    assert first[0].keys() == {
        "cursor", "id", "invitation_id", "step", "channel", "to", "subject", "text", "html", "at",
    }  # fmt: skip


async def test_mail_is_shown_as_respondents_see_it_and_runs_nothing(chain: Chain, client: httpx.AsyncClient) -> None:
    await chain.take(request())
    await chain.tick()
    (message,) = (await client.get("/v1/mailbox")).json()["messages"]
    listed = (await client.get("/mailbox")).text
    assert f"/mailbox/{message['id']}" in listed
    page = (await client.get(f"/mailbox/{message['id']}")).text
    assert f'src="/mailbox/{message["id"]}/html"' in page
    assert "List-Unsubscribe" in page
    mail = await client.get(f"/mailbox/{message['id']}/html")
    assert "script-src" not in mail.headers["content-security-policy"]
    assert mail.headers["content-security-policy"].startswith("default-src 'none'")
    assert "?score=10" in mail.text


async def test_text_message_is_shown_with_its_link(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request(contact={"phone": "+15550001"})
    await chain.take(asked)
    await chain.tick()
    (message,) = (await client.get("/v1/mailbox")).json()["messages"]
    assert (message["channel"], message["html"], message["subject"]) == ("sms", False, "")
    link = message["text"].split()[-1]
    assert f'<a href="{link}"' in (await client.get(f"/mailbox/{message['id']}")).text
    assert (await client.get(f"/mailbox/{message['id']}/html")).status_code == 404


async def test_opening_the_unsubscribe_page_writes_nothing(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    for method in ("HEAD", "GET", "OPTIONS", "PUT"):
        await client.request(method, unsubscribe_path(asked.invitation_id))
    reply = await client.get(unsubscribe_path(asked.invitation_id))
    assert "no e-mail, no text message, no call" in reply.text
    assert (await client.head(unsubscribe_path(asked.invitation_id))).status_code == 200
    assert await chain.rows("SELECT 1 FROM suppressions") == []
    assert await chain.outcome(asked.invitation_id) is None


async def test_respondent_stops_every_question(chain: Chain, client: httpx.AsyncClient) -> None:
    asked = request(locale="ru")
    await chain.take(asked)
    replies = [await client.post(unsubscribe_path(asked.invitation_id), data={"what": "all"}) for _ in range(2)]
    for reply in replies:
        assert (reply.status_code, "set-cookie" in reply.headers) == (200, False)
        assert "Kofe Point больше не будет" in reply.text
    await chain.tick()
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert len(await chain.published("respondent.suppressed")) == 1
    assert len(await chain.published("invitation.closed")) == 1


@pytest.mark.parametrize("form", [{"List-Unsubscribe": "One-Click"}, {"what": "email"}, {"what": "nonsense"}, {}])
async def test_one_click_unsubscribe_of_a_mail_client_stops_all_mail(
    chain: Chain, client: httpx.AsyncClient, form: dict[str, str]
) -> None:
    asked = request()
    await chain.take(asked, request(program={"id": "after-service", "version": 1}))
    reply = await client.post(unsubscribe_path(asked.invitation_id), data=form)
    assert (reply.status_code, "location" in reply.headers) == (200, False)
    await chain.tick()
    assert await chain.rows("SELECT 1 FROM mailbox WHERE channel = 'email'") == []
    assert await chain.states(asked.invitation_id) == ["skipped", "skipped", "sent", "planned"]
    (event,) = await chain.published("respondent.suppressed")
    assert (event.channel, event.program, event.reason) == ("email", None, "opt_out")


async def test_respondent_stops_one_kind_of_question(chain: Chain, client: httpx.AsyncClient) -> None:
    asked, other = request(), request(program={"id": "after-service", "version": 1})
    await chain.take(asked, other)
    await client.post(unsubscribe_path(asked.invitation_id), data={"what": "survey"})
    await chain.tick()
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert (await chain.states(other.invitation_id))[0] == "sent"
    (event,) = await chain.published("respondent.suppressed")
    assert (event.channel, event.program) == (None, "after-purchase")


async def test_invented_unsubscribe_link_does_nothing(chain: Chain, client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        assert (await client.request(method, "/u/" + "x" * 22)).status_code == 404
    assert await chain.rows("SELECT 1 FROM suppressions") == []


async def test_staff_pages_need_the_secret_and_the_unsubscribe_page_does_not(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    page = f"/invitations/{asked.invitation_id}"
    async with browser(chain, staff_secret="secret") as stranger:
        for path in (
            "/mailbox",
            "/v1/mailbox",
            "/invitations",
            page,
            f"/v1{page}",
            "/v1/invitations?customer=r1",
        ):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/v1/links", json={"customer": "r1"})).status_code == 401
        assert (await stranger.get(unsubscribe_path(asked.invitation_id))).status_code == 200


async def test_ready_when_database_and_log_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/", follow_redirects=False)).headers["location"] == "/mailbox"


def test_mailbox_mode_opens_no_account() -> None:
    configured = {"smtp_url": "smtp://mail", "twilio_account_sid": "AC1", "twilio_auth_token": "t"}
    assert open_accounts(settings(**configured)) == []


async def test_live_mode_opens_what_is_configured() -> None:
    found = settings(
        send="live", smtp_url="smtp://mail", twilio_account_sid="AC1", send_allowlist="@ours.test, +1 (555) 00-01,"
    )
    accounts = open_accounts(found)
    assert {account.channel: account.name for account in accounts} == {"email": "smtp", "sms": "twilio"}
    assert found.send_policy.allowed == ("ours.test", "+15550001")
    for account in accounts:
        await account.close()


async def test_service_takes_a_request_from_the_log_and_ends_when_told(
    urls: Mapping[str, str], chain: Chain, event_log: EventLog, tmp_path: Path
) -> None:
    asked = request()
    event = cloudevents.new(asked, service=Service.TRIGGER, at=NOW)
    await event_log.append([codec.encode(event)])
    stop = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(
                main.run(
                    settings(data_dir=tmp_path),
                    ServiceContext(urls["dispatcher"], event_log, ManualClock(NOW), stop, listener),
                )
            )
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                while not (await client.get("/v1/mailbox")).json()["messages"]:
                    continue
            while await event_log.lag("somebody-else", ["survey.deliveries"]) < 1:
                continue
            stop.set()
    assert (await chain.states(asked.invitation_id))[0] == "sent"
