"""Mails whose commands are sent together with the final dot of the mail before them (RFC 2920)."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.email.connection import SmtpConnection
from services.dispatcher.channels.pace import DomainPace
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind
from shared.smtp_server import SmtpServer
from tests.fakes import ScriptedSmtp, scripted_smtp

SENDER = "survey@example.com"
SENT = Disposition(SendResult.SENT)
PIPELINING = b"250-here\r\n250 PIPELINING"
FINE, TAKEN, GO_ON = b"250 fine", b"250 taken", b"354 go on"
WITH_NEXT_COMMAND = b"250 taken\r\n250 fine"  # a server that answers a mail only when the next command has come


def mail(recipient: str = "a@example.com") -> OutgoingMessage:
    return OutgoingMessage(uuid4(), 1, ChannelKind.EMAIL, recipient, "one", b"Subject: one\r\n\r\nHello\r\n")


async def sent(
    server: ScriptedSmtp, *mails: OutgoingMessage, within_s: float = 10, domains: DomainPace | None = None
) -> list[Disposition]:
    url = f"smtp://127.0.0.1:{server.port}"
    account = SmtpAccount(SmtpServer.from_url(url), sender=SENDER, connections=1, domains=domains)
    try:
        return await account.send_all(mails, within_s=within_s)
    finally:
        await account.close()


async def test_commands_of_the_next_mail_come_with_the_final_dot() -> None:
    replies = {"CONTENT": [b"", TAKEN], "MAIL": [FINE, WITH_NEXT_COMMAND]}
    async with scripted_smtp(EHLO=[PIPELINING], **replies) as server:
        assert await sent(server, mail(), mail()) == [SENT, SENT]
    assert server.verbs == ["GREETING", "EHLO", *["MAIL", "RCPT", "DATA", "CONTENT"] * 2, "QUIT"]


@pytest.mark.parametrize("lost", [None, b"421 closing"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_announced_mail_whose_connection_is_lost_goes_out_over_a_new_one(verb: str, lost: bytes | None) -> None:
    usual = GO_ON if verb == "DATA" else FINE
    async with scripted_smtp(EHLO=[PIPELINING] * 2, **{verb: [usual, lost]}) as server:
        assert await sent(server, mail(), mail(), mail()) == [SENT] * 3
    assert (server.accepted, server.connections) == (3, 2)


async def test_announced_recipient_that_is_refused_delays_no_other() -> None:
    replies = {"RCPT": [FINE, b"550 5.1.1 no such user"], "DATA": [GO_ON, b"554 no valid recipients"]}
    async with scripted_smtp(EHLO=[PIPELINING], **replies) as server:
        found = await sent(server, mail(), mail(), mail())
    assert found == [SENT, Disposition(SendResult.REFUSED, "smtp_550_5.1.1"), SENT]
    assert (server.accepted, server.connections) == (2, 1)


@pytest.mark.parametrize(
    ("reply", "disposition"),
    [
        (b"554 5.6.0 malformed", Disposition(SendResult.REFUSED, "smtp_554_5.6.0")),
        (b"421 closing", Disposition(SendResult.UNAVAILABLE, "smtp_421")),
        (None, Disposition(SendResult.UNKNOWN, "no_reply")),
        (b"what?", Disposition(SendResult.UNKNOWN, "no_reply")),
    ],
)
async def test_mail_before_decides_nothing_about_the_announced_one(
    reply: bytes | None, disposition: Disposition
) -> None:
    async with scripted_smtp(EHLO=[PIPELINING] * 2, CONTENT=[reply]) as server:
        assert await sent(server, mail(), mail()) == [disposition, SENT]
    assert server.accepted == 1
    assert "RSET" not in server.verbs


async def test_mail_that_cannot_be_announced_is_reported_in_its_turn() -> None:
    async with scripted_smtp(EHLO=[PIPELINING] * 2) as server:
        found = await sent(server, mail(), mail("жук@example.com"), mail())
    assert found == [SENT, Disposition(SendResult.NOT_ACCEPTED, "smtp_error"), SENT]
    assert server.accepted == 2


async def test_domain_with_a_limit_is_not_announced() -> None:
    pace = DomainPace({"example.com": 0.001})
    async with scripted_smtp(EHLO=[PIPELINING]) as server:
        first, second = await sent(server, mail(), mail(), domains=pace)
    assert (first, second.result) == (SENT, SendResult.THROTTLED)
    assert server.verbs.count("MAIL") == 1


async def test_server_that_loses_announced_commands_gets_no_more_of_them() -> None:
    mails = [mail() for _ in range(4)]
    asked = iter(mails[1:])
    async with scripted_smtp(EHLO=[PIPELINING] * 2, MAIL=[FINE, None]) as server:
        connection = SmtpConnection(SmtpServer.from_url(f"smtp://127.0.0.1:{server.port}"), SENDER)
        for each in mails:
            deadline = time.monotonic() + 10
            assert await connection.send(each, deadline=deadline, upcoming=lambda: next(asked)) == SENT
        await connection.close()
    assert next(asked) is mails[2]  # only the first was asked for, and it was lost
    assert (server.accepted, server.connections) == (4, 2)


async def test_other_message_than_the_announced_one_gets_a_new_connection() -> None:
    async with scripted_smtp(EHLO=[PIPELINING] * 2) as server:
        connection = SmtpConnection(SmtpServer.from_url(f"smtp://127.0.0.1:{server.port}"), SENDER)
        deadline = time.monotonic() + 10
        announced = mail()
        assert await connection.send(mail(), deadline=deadline, upcoming=lambda: announced) == SENT
        assert await connection.send(mail(), deadline=deadline) == SENT
        await connection.close()
    assert (server.accepted, server.connections) == (2, 2)


async def test_connection_with_an_announced_mail_is_closed_without_a_word() -> None:
    async with scripted_smtp(EHLO=[PIPELINING]) as server:
        connection = SmtpConnection(SmtpServer.from_url(f"smtp://127.0.0.1:{server.port}"), SENDER)
        assert await connection.send(mail(), deadline=time.monotonic() + 10, upcoming=mail) == SENT
        await connection.close()
        async with asyncio.timeout(5):
            while server.verbs[-1] != "DATA":  # noqa: ASYNC110 - the server sets no event
                await asyncio.sleep(0)
    assert server.verbs == ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT", "MAIL", "RCPT", "DATA"]
