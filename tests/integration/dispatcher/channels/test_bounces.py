"""Bounces: delivery reports read from a loopback IMAP server; other mails are ignored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.dispatcher.channels.feedback import dsn
from services.dispatcher.channels.feedback.imap import BadImapUrl, BounceMailbox, MailboxUnavailable
from services.dispatcher.domain.receipts import Reference
from services.dispatcher.jobs.receipts import BounceReader
from shared.contract.events import SurveyRequested
from tests.fakes import Imap, imap
from tests.integration.dispatcher.conftest import Chain, RememberingAccount, request
from tests.integration.dispatcher.test_receipts import Receiver, sent

RETURNED_MAIL = "message/rfc822\r\n\r\nMessage-ID: <{reference}@localhost>\r\nSubject: one question\r\n\r\nBody"
RETURNED_HEADERS = "text/rfc822-headers\r\n\r\nSubject: x\r\nMessage-ID: <{reference}@localhost>\r\n"
NOTHING = "text/plain\r\n\r\nno mail of yours is here"


def report(
    reference: str,
    *,
    status: str = "5.1.1",
    action: str = "failed",
    returned: str = RETURNED_MAIL,
    head: str = "",
    message_id: str = "d1",
) -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.test\r\nMessage-ID: <{message_id}@mx.test>\r\n{head}"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\nMIME-Version: 1.0\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.test\r\n\r\n"
        f"Final-Recipient: rfc822; r1@example.com\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; 550 {status} no\r\n\r\n"
        f"--b\r\nContent-Type: {returned.format(reference=reference)}\r\n--b--\r\n"
    ).encode()


AUTO_REPLY = b"From: r1@example.com\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <%s@localhost>\r\n\r\nback soon"


def reference_of(asked: SurveyRequested, step: int = 1) -> str:
    return str(Reference(asked.invitation_id, step))


@pytest.fixture
async def server() -> AsyncIterator[Imap]:
    async with imap() as fake:
        yield fake


def reader(chain: Chain, server: Imap, *, password: str = "") -> BounceReader:
    url = f"imap://bounces:{password or server.password}@127.0.0.1:{server.port}"
    return BounceReader(chain.database.sessions, BounceMailbox.from_url(url))


SOME = "0198d3a0-0000-7000-8000-00000000beef.1"


@pytest.mark.parametrize(
    ("status", "action", "kind"),
    [
        ("5.1.1", "failed", "hard_bounce"),
        ("5.1.10", "failed", "hard_bounce"),
        ("5.2.2", "failed", "soft_bounce"),
        ("4.4.1", "failed", "soft_bounce"),
        ("5.7.1", "failed", "undelivered"),
        ("5.3.4", "failed", "undelivered"),
        ("2.0.0", "delivered", "delivered"),
        ("4.4.1", "delayed", None),
        ("2.0.0", "relayed", None),
    ],
)
def test_kind_of_a_bounce_follows_its_status(status: str, action: str, kind: str | None) -> None:
    found = dsn.receipts(report(SOME, status=status, action=action))
    assert [(each.kind, each.reason) for each in found] == ([(kind, f"dsn_{status}")] if kind else [])


@pytest.mark.parametrize(
    ("returned", "head", "known"),
    [
        (RETURNED_MAIL, "", True),
        (RETURNED_HEADERS, "", True),
        (NOTHING, f"In-Reply-To: <{SOME}@localhost>\r\n", True),
        (NOTHING, f"References: <a@b> <{SOME}@localhost>\r\n", True),
        (NOTHING, "", False),
    ],
)
def test_our_message_id_is_found_in_the_returned_mail(returned: str, head: str, known: bool) -> None:  # noqa: FBT001 - a case
    assert [str(each.reference) for each in dsn.receipts(report(SOME, returned=returned, head=head))] == [SOME] * known


@pytest.mark.parametrize("mail", [AUTO_REPLY % SOME.encode(), b"", b"\xff\x00 no mail", b"Subject: hello\r\n\r\n"])
def test_mail_that_is_no_report_gives_no_receipt(mail: bytes) -> None:
    assert dsn.receipts(mail) == []


async def test_bounce_is_read_stored_and_only_then_marked(chain: Chain, server: Imap) -> None:
    asked = await sent(chain)
    server.mails = {7: report(reference_of(asked)), 9: AUTO_REPLY % reference_of(asked).encode()}
    assert await reader(chain, server)() == 2
    assert server.seen == {7, 9}
    receiver = Receiver(chain)
    await receiver.apply()
    assert await receiver.attempt(asked) == ("bounced", "hard_bounce dsn_5.1.1", 2)
    assert await reader(chain, server)() == 0
    assert all("PEEK" in command for command in server.commands if "FETCH" in command)


async def test_bounce_read_twice_counts_once(chain: Chain, server: Imap) -> None:
    asked = await sent(chain)
    server.mails = {7: report(reference_of(asked))}
    await asyncio.gather(reader(chain, server)(), reader(chain, server)())
    server.seen.clear()  # the process died before it could mark
    await reader(chain, server)()
    receiver = Receiver(chain)
    await receiver.apply()
    assert (await receiver.attempt(asked))[2] == 2


async def test_bounce_that_could_not_be_stored_stays_unread(chain: Chain, server: Imap) -> None:
    server.mails = {7: report(SOME)}
    await chain.rows("ALTER TABLE receipts RENAME TO away")
    with pytest.raises(Exception, match="receipts"):
        await reader(chain, server)()
    assert server.seen == set()


async def test_wrong_password_is_tried_again_later(chain: Chain, server: Imap) -> None:
    server.mails = {7: report(SOME)}
    wrong = reader(chain, server, password="wrong")
    assert await wrong() == 0
    with pytest.raises(MailboxUnavailable):
        await asyncio.to_thread(wrong.mailbox.unread, limit=1)
    assert server.seen == set()


async def test_bounce_is_recorded_for_the_step_of_the_returned_mail(chain: Chain, server: Imap) -> None:
    asked = request()
    await sent(chain, asked, email=RememberingAccount())
    server.mails = {1: report(reference_of(asked, 2))}  # step 2 was not sent yet
    await reader(chain, server)()
    receiver = Receiver(chain)
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "sent"


@pytest.mark.parametrize("url", ["http://u@h", "imap://host", "imaps:///INBOX"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadImapUrl, match="EARSHOT_IMAP_URL"):
        BounceMailbox.from_url(url)


def test_mailbox_from_url() -> None:
    assert BounceMailbox.from_url("imaps://u%40x:p%2F@mail/Bounces") == BounceMailbox(
        "mail", 993, "u@x", "p/", "Bounces", tls=True
    )
