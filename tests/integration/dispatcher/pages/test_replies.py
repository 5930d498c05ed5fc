"""What respondents write back is kept, shown with its invitation until it was read, and deleted with them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from services.dispatcher.jobs import receipts
from services.dispatcher.jobs.receipts import BounceReader
from shared import metrics
from shared.contract.events import RespondentErased
from shared.contract.vocabulary import ChannelKind, Service
from tests.audit import ended
from tests.fakes import Imap, imap
from tests.integration.dispatcher.channels.test_bounces import reader, reference_of, report
from tests.integration.dispatcher.conftest import Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.pages.conftest import browser
from tests.integration.dispatcher.test_receipts import Receiver, sent
from tests.staff_pages import undo
from tests.unit.dispatcher.test_incoming_mails import REFERENCE, answer


@pytest.fixture
async def server() -> AsyncIterator[Imap]:
    async with imap() as fake:
        yield fake


def from_anna(reference: str, text: str, *, number: int = 1) -> bytes:
    return answer(text).replace(REFERENCE.encode(), reference.encode()).replace(b"<a1@", f"<a{number}@".encode())


async def test_answer_to_the_survey_mail_is_shown_with_its_invitation(
    chain: Chain, server: Imap, client: httpx2.AsyncClient
) -> None:
    asked = await sent(chain, request(customer_id="crm-7"))
    server.mails = {1: from_anna(reference_of(asked), "My parcel never came, <b>call me</b>")}
    await reader(chain, server)()
    await reader(chain, server)()
    shown = (await client.get("/replies")).text
    assert "My parcel never came, &lt;b&gt;call me&lt;/b&gt;" in shown
    assert f'href="/invitations/{asked.invitation_id}"' in shown
    assert "crm-7" in shown
    assert 'href="mailto:anna@example.com?subject=Re%3A%20One%20question%2C%20Anna"' in shown
    assert server.seen == {1}


async def test_audit_log_finds_who_read_a_reply_by_its_customer(
    chain: Chain, server: Imap, client: httpx2.AsyncClient
) -> None:
    asked = await sent(chain, request("crm-7"))
    server.mails = {1: from_anna(reference_of(asked), "My parcel never came"), 2: answer("Where is my parcel?")}
    await reader(chain, server)()
    for kept in await chain.rows("SELECT id FROM replies"):
        await client.post(f"/replies/{kept['id']}/read")
    (own,) = await chain.rows("SELECT id FROM replies WHERE invitation_id IS NOT NULL")
    found = (await client.get("/v1/audit-dispatcher", params={"customer": "crm-7"})).json()["rows"]
    own_rows = [(each, str(own["id"])) for each in ("asked", "ended")]
    assert [(each["stage"], each["subject"]) for each in found] == own_rows


async def test_reply_marked_as_read_is_shown_only_on_request(
    chain: Chain, server: Imap, client: httpx2.AsyncClient
) -> None:
    server.mails = {1: answer("Where is my parcel?")}
    await reader(chain, server)()
    (kept,) = await chain.rows("SELECT id, invitation_id FROM replies")
    assert kept["invitation_id"] is None
    assert (await client.get(f"/replies/{kept['id']}/read")).status_code == 405
    assert "Where is my parcel?" in (await client.get("/replies")).text
    for _ in range(2):
        assert (await client.post(f"/replies/{kept['id']}/read")).status_code == 303
    assert (await client.post(f"/replies/{uuid4()}/read")).status_code == 303
    assert [row[2] for row in await ended(chain.database)] == ["{}", *['{"stored":false}'] * 2]
    assert "Where is my parcel?" not in (await client.get("/replies")).text
    assert "Where is my parcel?" in (await client.get("/replies?read=true")).text
    await undo(client, (await client.get("/replies")).text)
    assert "Where is my parcel?" in (await client.get("/replies")).text
    await client.post(f"/replies/{kept['id']}/unread")
    assert [row[2] for row in await ended(chain.database)][-2:] == ["{}", '{"stored":false}']


async def test_request_to_unsubscribe_by_mail_suppresses_mails(chain: Chain, server: Imap) -> None:
    asked = await sent(chain)
    server.mails = {1: from_anna(reference_of(asked), "Отпишите меня, пожалуйста")}
    await reader(chain, server)()
    receiver = Receiver(chain)
    await receiver.apply()
    assert [(each["reason"], each["channel"]) for each in await chain.rows("SELECT * FROM suppressions")] == [
        ("stop", "email")
    ]
    assert [each["asks"] for each in await chain.rows("SELECT asks FROM replies")] == ["stop"]


@pytest.mark.parametrize(
    ("text", "kept", "stopped"),
    [
        ("My parcel never came", True, False),
        ("Count me in! We have got to STOP this", True, False),
        ("СТОП, спасибо", False, True),
        ("Stop. Thank you", False, True),
        ("Stop. My parcel never came", True, True),
    ],
)
async def test_text_message_that_is_no_keyword_is_shown(chain: Chain, text: str, kept: bool, stopped: bool) -> None:  # noqa: FBT001 - a case
    asked = request(customer_id="crm-8", plan=plan((ChannelKind.SMS, 0)))
    await chain.take(asked)
    await chain.tick(sms=RememberingAccount(channel=ChannelKind.SMS))
    phone = str(asked.contact.phone)
    gateway = '{"url": "https://sms.example.com", "callback": {"sender": "from", "text": "body"}}'
    async with browser(chain, sms_gateway=gateway, sms_gateway_secret="s") as client:
        body = f'{{"from": "{phone}", "body": "{text}"}}'.encode()
        signature = hmac.digest(b"s", body, hashlib.sha256).hex()
        for _ in range(2):
            response = await client.post("/hooks/generic", content=body, headers={"x-signature": signature})
            assert response.status_code == 204
        shown = (await client.get("/replies")).text
    assert (text in shown, "crm-8" in shown) == (kept, kept)
    assert len(await chain.rows("SELECT 1 FROM receipts WHERE kind = 'stop'")) == stopped


async def test_erasure_deletes_what_the_respondent_wrote(chain: Chain, server: Imap) -> None:
    asked, other = await sent(chain), await sent(chain, request("r2"))
    unrelated = answer("From the same address").replace(REFERENCE.encode(), b"none")
    server.mails = {
        1: from_anna(reference_of(asked), "Call me", number=1),
        2: from_anna(reference_of(other), "Call me too", number=2),
        3: unrelated.replace(b"Anna@Example.com", b"R1@Example.com").replace(b"<a1@", b"<a3@"),
    }
    await reader(chain, server)()
    await chain.take(RespondentErased(respondent_id="r1"))
    assert [row["text"] for row in await chain.rows("SELECT text FROM replies")] == ["Call me too"]


async def test_replies_are_deleted_after_their_retention(chain: Chain, server: Imap) -> None:
    server.mails = {1: answer("old"), 2: answer("new").replace(b"<a1@", b"<a2@")}
    await reader(chain, server)()
    await chain.rows("UPDATE replies SET stored_at = stored_at - interval '91 days' WHERE text = 'old'")
    await receipts.release_expired(chain.database.sessions, chain.clock)
    assert [row["text"] for row in await chain.rows("SELECT text FROM replies")] == ["new"]


async def test_server_that_refuses_one_mail_of_fifty_gives_out_the_others(chain: Chain, server: Imap) -> None:
    asked = await sent(chain)
    server.mails = {
        number: answer(f"mail {number}").replace(b"<a1@", f"<a{number}@".encode()) for number in range(2, 50)
    }
    server.mails |= {1: b"", 50: report(reference_of(asked))}
    server.refused = {1}
    before = metrics.BAD_INPUT.labels(Service.DISPATCHER, "bounce")._value.get()
    await reader(chain, server)()
    assert len(await chain.rows("SELECT 1 FROM replies")) == 48
    assert len(await chain.rows("SELECT 1 FROM receipts")) == 1
    assert server.seen == server.mails.keys()
    assert metrics.BAD_INPUT.labels(Service.DISPATCHER, "bounce")._value.get() == before + 1


async def test_server_that_refuses_to_mark_mails_is_not_asked_again_at_once(chain: Chain, server: Imap) -> None:
    server.mails, server.read_only = {1: answer("again")}, True
    assert await reader(chain, server)() == 0
    assert len(await chain.rows("SELECT 1 FROM replies")) == 1


async def test_mailbox_with_ten_thousand_unread_mails_is_read_to_its_end(chain: Chain, server: Imap) -> None:
    server.mails = {
        number: answer("hello", subject=f"Re: {number}").replace(b"<a1@", f"<a{number}@".encode())
        for number in range(1, 10_001)
    }
    bounces: BounceReader = reader(chain, server)
    for _ in range(3):
        assert await bounces() == 50
    assert server.seen == set(range(1, 151))
    server.seen = set(range(1, 9_951))
    assert [await bounces(), await bounces()] == [50, 0]
    assert len(await chain.rows("SELECT 1 FROM replies")) == 200
