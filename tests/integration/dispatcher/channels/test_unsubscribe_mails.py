"""Unsubscribing by a mail to us, as the header of each mail offers it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from services.dispatcher.channels.feedback import incoming
from services.dispatcher.domain.receipts import ReceiptKind, Reference
from services.dispatcher.domain.unsubscribe_mails import unsubscribe_mailto
from shared.contract.vocabulary import ChannelKind
from tests.fakes import imap
from tests.integration.dispatcher.channels.test_bounces import SOME, reader
from tests.integration.dispatcher.conftest import Chain
from tests.integration.dispatcher.test_receipts import Receiver, sent


def mail(subject: str, *, head: str = "", body: str = "") -> bytes:
    return f"From: r1@example.com\r\nMessage-ID: <u1@x>\r\n{head}Subject: {subject}\r\n\r\n{body}".encode()


async def test_mail_that_the_header_asks_for_unsubscribes_and_ends_the_survey(chain: Chain) -> None:
    receiver = Receiver(chain)
    asked = await sent(chain)
    url = urlsplit(unsubscribe_mailto("survey+kofe@mail.test", Reference(asked.invitation_id, 1)))
    assert url.path == "survey%2Bkofe@mail.test"
    async with imap() as server:
        server.mails[1] = mail(unquote(url.query.removeprefix("subject=")))
        await reader(chain, server)()
        await reader(chain, server)()
    await receiver.apply()
    assert await receiver.suppressions() == [("stop", "email", None)]
    assert await chain.outcome(asked.invitation_id) == "declined"


@pytest.mark.parametrize(
    "written",
    [
        mail(f"unsubscribe {SOME}"),
        mail(f"Unsubscribe {SOME.upper()}"),
        mail(f"unsubscribe+{SOME}"),
        mail(f"unsubscribe\r\n {SOME}"),
        mail(f"unsubscribe {SOME}", head="Auto-Submitted: auto-generated\r\nPrecedence: bulk\r\n"),
        mail(f"unsubscribe {SOME}", body="Sent by the unsubscribe feature of your mail program."),
    ],
)
def test_mail_programs_send_it_in_several_forms(written: bytes) -> None:
    found = incoming.read(written)
    assert [(str(each.reference), each.kind, each.channel) for each in found.receipts] == [
        (SOME, ReceiptKind.STOP, ChannelKind.EMAIL)
    ]
    assert found.reply is None


@pytest.mark.parametrize("subject", [f"Re: unsubscribe {SOME}", f"unsubscribed {SOME}", "unsubscribe 0198d3a0", SOME])
def test_other_subjects_are_left_to_a_reader(subject: str) -> None:
    assert incoming.read(mail(subject, body="What is this?")).reply is not None
