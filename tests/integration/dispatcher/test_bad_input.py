"""One bad item from outside, or a stored one that cannot be read any more, is counted; the others go on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from starlette.responses import Response

from services.dispatcher.channels.sms import Inquiry, SmsAccount, Twilio
from services.dispatcher.domain.receipts import Receipt, ReceiptKind
from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.jobs.receipts import SmsStatusPoller
from shared.contract.vocabulary import ChannelKind
from shared.web.http_client import Call, HttpClient
from tests.fakes import Imap, gateway, imap
from tests.integration.dispatcher.channels.test_bounces import reader, reference_of, report
from tests.integration.dispatcher.conftest import LINK_KEYS, Chain, counted, plan, request
from tests.integration.dispatcher.test_receipts import Receiver, UnknownAccount, sent

SMS = ChannelKind.SMS


@pytest.fixture
async def server() -> AsyncIterator[Imap]:
    async with imap() as fake:
        yield fake


def nested(depth: int) -> bytes:
    """A report of multiparts inside each other."""
    text = b"MIME-Version: 1.0\r\n"
    for number in range(depth):
        text += b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (number, number)
    return text


def with_message_id(reference: str, message_id: bytes) -> bytes:
    return report(reference, message_id="MESSAGE-ID").replace(b"MESSAGE-ID", message_id)


async def test_nested_bounce_is_counted_and_marked_and_the_others_are_read(
    chain: Chain, server: Imap, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, before = await sent(chain), counted("bounce")
    server.mails = {7: nested(1000), 8: report(reference_of(asked)), 9: nested(150)}
    assert await reader(chain, server)() == 3
    assert server.seen == {7, 8, 9}
    receiver = Receiver(chain)
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "bounced"
    assert counted("bounce") == before + 1
    assert '"uid": "7"' in capsys.readouterr().err


@pytest.mark.parametrize("message_id", [b"a\0b", b"a\xff\xfe", b"=?utf-8?q?=00=ED=A0=80?=", b"x" * 5000, b""])
async def test_message_id_that_cannot_be_stored_does_not_lose_the_bounce(
    chain: Chain, server: Imap, message_id: bytes
) -> None:
    asked = await sent(chain)
    server.mails = {7: with_message_id(reference_of(asked), message_id)}
    assert await reader(chain, server)() == 1
    assert server.seen == {7}
    receiver = Receiver(chain)
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "bounced"


@dataclass
class Asked:
    """A gateway whose answer about some messages cannot be read."""

    unreadable: UUID

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        if inquiry.reference.invitation_id == self.unreadable:
            raise KeyError("status")
        key = str(inquiry.reference)
        return Receipt("twilio", key, ReceiptKind.DELIVERED, SMS, None, inquiry.reference)


async def two_unknown(chain: Chain) -> list[UUID]:
    asked = [request(f"r{number}", plan=plan((SMS, 0))) for number in range(2)]
    await chain.take(*asked)
    await chain.tick(sms=UnknownAccount(name="twilio", channel=SMS))
    await chain.rows("UPDATE attempts SET ask_at = clock_timestamp() RETURNING 1")
    return [each.invitation_id for each in asked]


async def test_answer_about_one_text_that_cannot_be_read_takes_no_other(chain: Chain) -> None:
    bad, good = await two_unknown(chain)
    before = counted("sms_status")
    assert await SmsStatusPoller(chain.database.sessions, Asked(bad), LINK_KEYS)() == 1
    await Receiver(chain).apply()
    states = await chain.rows("SELECT invitation_id, state FROM attempts")
    assert {row["invitation_id"]: row["state"] for row in states} == {bad: "unknown", good: "delivered"}
    assert counted("sms_status") == before + 1


@pytest.mark.parametrize("stored", ['{"plan": []}', "[]", '"text"', "null"])
async def test_stored_request_that_cannot_be_read_stops_no_question(chain: Chain, stored: str) -> None:
    bad, good = await two_unknown(chain)
    await chain.rows("UPDATE invitations SET request = $2::text::jsonb WHERE id = $1 RETURNING 1", bad, stored)
    before = counted("stored_request")
    assert await SmsStatusPoller(chain.database.sessions, Asked(UUID(int=0)), LINK_KEYS)() == 1
    await Receiver(chain).apply()
    states = await chain.rows("SELECT invitation_id, state FROM attempts")
    assert {row["invitation_id"]: row["state"] for row in states} == {bad: "unknown", good: "delivered"}
    assert counted("stored_request") == before + 1


@pytest.mark.parametrize(
    "wrong", ["kind = 'eaten_by_bear'", "channel = 'pigeon'", "reason = ' '", "reason = repeat('x', 300)"]
)
async def test_stored_receipt_that_cannot_be_applied_is_set_aside_and_the_others_are_applied(
    chain: Chain, wrong: str
) -> None:
    asked = [await sent(chain, request(f"r{number}")) for number in range(7)]
    receiver, before = Receiver(chain), counted("receipt")
    await receiver.bring(*(receiver.receipt(ReceiptKind.DELIVERED, each) for each in asked))
    await chain.rows(f"UPDATE receipts SET {wrong} WHERE invitation_id = $1 RETURNING 1", asked[4].invitation_id)  # noqa: S608 - a case
    await receiver.apply()
    states = [(await receiver.attempt(each))[0] for each in asked]
    assert states == ["delivered"] * 4 + ["sent"] + ["delivered"] * 2
    assert counted("receipt") == before + 1
    assert await chain.rows("SELECT 1 FROM receipts WHERE look_at IS NOT NULL") == []


async def test_receipts_wait_while_the_schema_does_not_fit(chain: Chain) -> None:
    asked, receiver = await sent(chain), Receiver(chain)
    await receiver.bring(receiver.receipt(ReceiptKind.DELIVERED, asked))
    await chain.rows("ALTER TABLE attempts RENAME TO away")
    with pytest.raises(Exception, match="attempts"):
        await receiver.apply()
    await chain.rows("ALTER TABLE away RENAME TO attempts")
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "delivered"


@pytest.mark.parametrize(
    "reply",
    [
        {"sid": "SM1", "num_segments": "99999999999", "price": "1e999999", "price_unit": "\0"},
        {"sid": "\ud800", "num_segments": [], "price": "NaN", "price_unit": {}},
        {"sid": 7, "num_segments": -3, "price": "0.0000000001", "price_unit": "x" * 5000},
        {"sid": "SM1", "price": "9" * 4000},
        {"sid": "SM1", "price": 1e308, "num_segments": True},
    ],
)
async def test_whatever_a_gateway_charges_the_message_is_recorded_as_sent(
    chain: Chain, reply: dict[str, object]
) -> None:
    async with gateway() as twilio:
        twilio.answer = lambda _form: Response(json.dumps(reply), 201, media_type="application/json")
        account = SmsAccount(Twilio(HttpClient(twilio.url), sid="AC1", sender="+1"))
        asked = request(plan=plan((SMS, 0)))
        await chain.take(asked)
        await chain.sender(SMS, account).perform_due()
        await account.close()
    assert await chain.states(asked.invitation_id) == ["sent"]
    (row,) = await chain.rows("SELECT segments, cost FROM attempts")
    assert row["cost"] is None or row["cost"] == 0


@pytest.mark.parametrize("code", [10**300, -(10**300), 1.5, True, [], "x" * 5000, None])
async def test_whatever_error_a_gateway_names_the_step_goes_on(chain: Chain, code: object) -> None:
    async with gateway() as twilio:
        twilio.answer = lambda _form: Response(json.dumps({"code": code}), 400, media_type="application/json")
        account = SmsAccount(Twilio(HttpClient(twilio.url), sid="AC1", sender="+1"))
        asked = request(plan=plan((SMS, 0)))
        await chain.take(asked)
        await chain.sender(SMS, account).perform_due()
        await account.close()
    assert await chain.states(asked.invitation_id) == ["refused"]


class Particular(Twilio):
    """A gateway whose request to one recipient cannot be made."""

    def call(self, message: OutgoingMessage) -> Call:
        if message.recipient == "+15550002":
            raise LookupError(message.recipient)
        return super().call(message)


async def test_text_that_cannot_be_sent_takes_none_of_its_batch(chain: Chain) -> None:
    asked = [request(f"r{n}", plan=plan((SMS, 0)), contact={"phone": f"+1555000{n}"}) for n in range(1, 4)]
    async with gateway() as twilio:
        account = SmsAccount(Particular(HttpClient(twilio.url), sid="AC1", sender="+1"))
        await chain.take(*asked)
        await chain.sender(SMS, account).perform_due()
        await account.close()
        assert len(twilio.taken) == 2
    assert [await chain.states(each.invitation_id) for each in asked] == [["sent"], ["unknown"], ["sent"]]
