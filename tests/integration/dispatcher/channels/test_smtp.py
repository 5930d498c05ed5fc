"""E-mail against loopback servers that refuse, stall and disconnect."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from services.dispatcher.pages.test_mails import send_test
from shared.contract.vocabulary import ChannelKind
from shared.smtp_server import BadSmtpUrl, SmtpServer
from tests.fakes import SmtpSink, scripted_smtp, smtp_sink, smtp_that_hangs_up

SENDER = "survey@example.com"


def mail(recipient: str = "a@example.com", *, body: bytes = b"Subject: one\r\n\r\n.dot\r\n") -> OutgoingMessage:
    return OutgoingMessage(uuid4(), 1, ChannelKind.EMAIL, recipient, "one", body)


def account(port: int, *, connections: int = 1) -> SmtpAccount:
    return SmtpAccount(SmtpServer.from_url(f"smtp://127.0.0.1:{port}"), sender=SENDER, connections=connections)


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with smtp_sink() as server:
        yield server


async def results(sender: SmtpAccount, *messages: OutgoingMessage, within_s: float = 10) -> list[Disposition]:
    try:
        return await sender.send_all(messages, within_s=within_s)
    finally:
        await sender.close()


# --- e-mail


@contextlib.asynccontextmanager
async def stalled(sink: SmtpSink, sender: SmtpAccount, message: OutgoingMessage) -> AsyncIterator[asyncio.Task[Any]]:
    """A mail whose final dot is written over a kept connection, and which the server has not answered yet."""
    await sender.send_all([mail("before@example.com")], within_s=10)
    sink.stalled = {message.recipient}
    sending = asyncio.create_task(sender.send_all([message], within_s=10))
    await sink.stalling.wait()
    yield sending
    sink.go_on.set()
    await sender.close()


async def test_test_mail_during_a_slow_reply_does_not_make_the_other_mail_leave_twice(sink: SmtpSink) -> None:
    sender, customers = account(sink.port), mail("customer@example.com")
    async with stalled(sink, sender, customers) as sending:
        replies = await send_test(mail("me@example.com"), [sender], lambda _: True)
        sink.go_on.set()
        assert await sending == [Disposition(SendResult.SENT)]
    assert [(each.account, each.accepted) for each in replies] == [("smtp", True)]
    assert Counter(sink.recipients) == {"before@example.com": 1, "customer@example.com": 1, "me@example.com": 1}


async def test_mail_that_waits_for_a_connection_does_not_change_the_result_of_the_one_before_it(sink: SmtpSink) -> None:
    """The phase of the first mail was kept in flags that the second one cleared."""
    sender = account(sink.port)
    async with stalled(sink, sender, mail("customer@example.com")) as sending:
        second = asyncio.create_task(sender.send_all([mail("second@example.com")], within_s=10))
        for _ in range(10):
            await asyncio.sleep(0)  # enough turns to write, if it did not wait
        sink.verdict = ""
        sink.go_on.set()
        assert await sending == [Disposition(SendResult.UNKNOWN, "no_reply")]
        await second
    assert sink.recipients.count("customer@example.com") == 1


async def test_mail_whose_connection_stays_busy_until_the_deadline_is_not_started(sink: SmtpSink) -> None:
    sender = account(sink.port)
    async with stalled(sink, sender, mail("customer@example.com")) as sending:
        connection = sender._connections[0]
        found = await connection.send(mail("late@example.com"), deadline=asyncio.get_running_loop().time())
        assert found == Disposition(SendResult.NOT_STARTED)
        sink.go_on.set()
        assert await sending == [Disposition(SendResult.SENT)]
    assert "late@example.com" not in sink.recipients


async def test_reply_to_a_cancelled_mail_is_not_read_as_that_of_the_next(sink: SmtpSink) -> None:
    sender = account(sink.port)
    async with stalled(sink, sender, mail("customer@example.com")) as sending:
        sending.cancel()
        await asyncio.wait({sending})
        sink.go_on.set()
        sink.replies = {"gone@example.com": "550 no such user"}
        found = await sender.send_all([mail("gone@example.com"), mail("next@example.com")], within_s=10)
    assert found == [Disposition(SendResult.REFUSED, "smtp_550"), Disposition(SendResult.SENT)]
    assert Counter(sink.recipients) == {"before@example.com": 1, "customer@example.com": 1, "next@example.com": 1}


async def test_mails_go_out_over_a_kept_connection(sink: SmtpSink) -> None:
    sender = account(sink.port)
    assert [each.result for each in await sender.send_all([mail() for _ in range(20)], within_s=10)] == ["sent"] * 20
    assert [each.result for each in await results(sender, mail())] == ["sent"]
    assert (len(sink.mails), sink.connections) == (21, 1)
    assert sink.mails[0].get_payload() == ".dot\r\n"


async def test_refused_recipient_delays_no_other_mail(sink: SmtpSink) -> None:
    sink.replies = {"gone@example.com": "550 no such user", "busy@example.com": "451 later"}
    found = await results(
        account(sink.port),
        mail("a@example.com"),
        mail("gone@example.com"),
        mail("busy@example.com"),
        mail("b@example.com"),
    )
    assert found == [
        Disposition(SendResult.SENT),
        Disposition(SendResult.REFUSED, "smtp_550"),
        Disposition(SendResult.NOT_ACCEPTED, "smtp_451"),
        Disposition(SendResult.SENT),
    ]
    assert sink.recipients == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("verdict", "disposition"),
    [
        ("554 spam", Disposition(SendResult.REFUSED, "smtp_554")),
        ("452 full", Disposition(SendResult.NOT_ACCEPTED, "smtp_452")),
        ("550 5.1.1 <a@example.com> unknown", Disposition(SendResult.REFUSED, "smtp_550_5.1.1")),
        ("550 5.1.1.1 no such code", Disposition(SendResult.REFUSED, "smtp_550")),
        ("452 4.2.2", Disposition(SendResult.NOT_ACCEPTED, "smtp_452_4.2.2")),
    ],
)
async def test_refused_content_was_certainly_not_accepted(
    sink: SmtpSink, verdict: str, disposition: Disposition
) -> None:
    sink.verdict = verdict
    assert await results(account(sink.port), mail()) == [disposition]


async def test_no_reply_after_the_final_dot_is_unknown() -> None:
    async with smtp_that_hangs_up(after_dot=True) as port:
        assert await results(account(port), mail()) == [Disposition(SendResult.UNKNOWN, "no_reply")]


async def test_mail_disconnected_before_the_final_dot_was_certainly_not_accepted() -> None:
    """The mail is larger than what sockets buffer, so its end cannot have left this process."""
    large = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 400_000
    async with smtp_that_hangs_up(after_dot=False) as port:
        assert await results(account(port), mail(body=large)) == [
            Disposition(SendResult.NOT_ACCEPTED, "smtp_disconnected")
        ]


async def test_mail_to_a_closed_port_was_certainly_not_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert await results(account(port), mail()) == [Disposition(SendResult.UNAVAILABLE, "smtp_disconnected")]


async def test_server_that_refuses_the_connection_refuses_no_recipient() -> None:
    async def converse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 go away\r\n")
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        found = await results(account(server.sockets[0].getsockname()[1]), mail())
    assert found == [Disposition(SendResult.UNAVAILABLE, "smtp_554")]


async def test_connection_lost_between_mails_is_opened_again(sink: SmtpSink) -> None:
    sender = account(sink.port)
    await sender.send_all([mail()], within_s=10)
    connection = sender._connections[0]._smtp
    assert connection is not None
    connection.close()
    assert await results(sender, mail()) == [Disposition(SendResult.SENT)]
    assert sink.connections == 2


async def test_mail_without_time_left_is_not_started(sink: SmtpSink) -> None:
    assert await results(account(sink.port), mail(), within_s=0) == [Disposition(SendResult.NOT_STARTED)]
    assert sink.mails == []


async def test_silent_server_costs_the_given_time_and_no_more() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        started = asyncio.get_running_loop().time()
        found = await results(account(server.sockets[0].getsockname()[1]), mail(), mail(), within_s=5.2)
        assert asyncio.get_running_loop().time() - started < 7
    assert found == [Disposition(SendResult.UNAVAILABLE, "smtp_timeout"), Disposition(SendResult.NOT_STARTED)]


CERTAINLY_NOT = [Disposition(SendResult.UNAVAILABLE, "smtp_421")]


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
async def test_server_that_goes_away_at_any_phase_accepted_nothing(verb: str) -> None:
    async with scripted_smtp(**{verb: [b"421 closing"], "HELO": [b"421 closing"]}) as server:
        sender = account(server.port)
        assert await sender.send_all([mail()], within_s=10) == CERTAINLY_NOT
        assert await results(sender, mail()) == [Disposition(SendResult.SENT)]
    assert (server.accepted, server.connections) == (1, 2)


@pytest.mark.parametrize(
    ("verb", "result"),
    [
        ("GREETING", SendResult.UNAVAILABLE),
        ("EHLO", SendResult.UNAVAILABLE),
        ("MAIL", SendResult.UNAVAILABLE),
        ("RCPT", SendResult.NOT_ACCEPTED),  # may be about this recipient: the tries must be limited
        ("DATA", SendResult.NOT_ACCEPTED),
    ],
)
async def test_mail_disconnected_before_the_content_was_certainly_not_accepted(verb: str, result: SendResult) -> None:
    async with scripted_smtp(**{verb: [None]}) as server:
        found = await results(account(server.port), mail())
    assert found == [Disposition(result, "smtp_disconnected")]


@pytest.mark.parametrize(
    ("verb", "reply", "disposition"),
    [
        ("MAIL", b"550 not you", Disposition(SendResult.UNAVAILABLE, "smtp_550")),
        ("MAIL", b"451 later", Disposition(SendResult.UNAVAILABLE, "smtp_451")),
        ("RCPT", b"450 greylisted", Disposition(SendResult.NOT_ACCEPTED, "smtp_450")),
        ("RCPT", b"530 authenticate first", Disposition(SendResult.UNAVAILABLE, "smtp_530")),
        ("RCPT", b"503 out of order", Disposition(SendResult.UNAVAILABLE, "smtp_503")),
        ("RCPT", b"251 will forward", Disposition(SendResult.SENT)),
        ("DATA", b"451 later", Disposition(SendResult.NOT_ACCEPTED, "smtp_451")),
        ("DATA", b"554 no valid recipients", Disposition(SendResult.REFUSED, "smtp_554")),
        ("CONTENT", b"200 taken, in an odd way", Disposition(SendResult.SENT)),
        ("CONTENT", b"what?", Disposition(SendResult.UNKNOWN, "no_reply")),
        ("CONTENT", b"354 go on", Disposition(SendResult.UNKNOWN, "no_reply")),
        ("CONTENT", b"250 " + b"x" * 9000, Disposition(SendResult.UNKNOWN, "no_reply")),
    ],
)
async def test_reply_decides_by_its_phase(verb: str, reply: bytes, disposition: Disposition) -> None:
    async with scripted_smtp(**{verb: [reply]}) as server:
        sender = account(server.port)
        assert await sender.send_all([mail()], within_s=10) == [disposition]
        assert await results(sender, mail()) == [Disposition(SendResult.SENT)]  # the next mail is not affected


PIPELINING = b"250-here\r\n250 PIPELINING"


async def test_commands_are_pipelined_where_the_server_supports_it() -> None:
    async with scripted_smtp(EHLO=[PIPELINING], MAIL=[b"", b"250 fine"], RCPT=[b"250 fine\r\n250 fine"]) as server:
        found = await results(account(server.port), mail(), mail())
    assert found == [Disposition(SendResult.SENT)] * 2
    assert server.verbs == ["GREETING", "EHLO", *["MAIL", "RCPT", "DATA", "CONTENT"] * 2, "QUIT"]


@pytest.mark.parametrize(
    ("verb", "reply", "disposition"),
    [
        ("MAIL", b"451 later", Disposition(SendResult.UNAVAILABLE, "smtp_451")),
        ("MAIL", None, Disposition(SendResult.UNAVAILABLE, "smtp_disconnected")),
        ("RCPT", b"450 greylisted", Disposition(SendResult.NOT_ACCEPTED, "smtp_450")),
        ("RCPT", b"421 closing", Disposition(SendResult.UNAVAILABLE, "smtp_421")),
        ("RCPT", b"what?", Disposition(SendResult.NOT_ACCEPTED, "smtp_-1")),
        ("RCPT", None, Disposition(SendResult.NOT_ACCEPTED, "smtp_disconnected")),
        ("DATA", b"451 later", Disposition(SendResult.NOT_ACCEPTED, "smtp_451")),
        ("DATA", b"421 closing", Disposition(SendResult.UNAVAILABLE, "smtp_421")),
        ("DATA", None, Disposition(SendResult.NOT_ACCEPTED, "smtp_disconnected")),
        ("CONTENT", b"250-taken\r\n250 in two lines", Disposition(SendResult.SENT)),
        ("CONTENT", b"554 5.7.1 spam", Disposition(SendResult.REFUSED, "smtp_554_5.7.1")),
        ("CONTENT", b"what?", Disposition(SendResult.UNKNOWN, "no_reply")),
        ("CONTENT", None, Disposition(SendResult.UNKNOWN, "no_reply")),
    ],
)
async def test_reply_decides_by_its_phase_when_commands_are_pipelined(
    verb: str, reply: bytes | None, disposition: Disposition
) -> None:
    async with scripted_smtp(EHLO=[PIPELINING, PIPELINING], **{verb: [reply]}) as server:
        sender = account(server.port)
        assert await sender.send_all([mail()], within_s=10) == [disposition]
        assert await results(sender, mail()) == [Disposition(SendResult.SENT)]  # the next mail is not affected


@pytest.mark.parametrize(
    ("answer", "connections"),
    [(b"554 no valid recipients", 1), (b"354 go on", 2), (None, 2), (b"what?", 2)],
)
async def test_pipelined_data_after_a_refused_recipient_sends_nothing(answer: bytes | None, connections: int) -> None:
    async with scripted_smtp(EHLO=[PIPELINING] * 2, RCPT=[b"550 no such user"], DATA=[answer]) as server:
        found = await results(account(server.port), mail(), mail())
    assert found == [Disposition(SendResult.REFUSED, "smtp_550"), Disposition(SendResult.SENT)]
    assert (server.accepted, server.connections) == (1, connections)


async def test_mail_after_a_refused_starttls_was_certainly_not_accepted() -> None:
    async with scripted_smtp(EHLO=[b"250-here\r\n250 STARTTLS"], STARTTLS=[b"454 not now"]) as server:
        sender = SmtpAccount(SmtpServer.from_url(f"smtp+starttls://127.0.0.1:{server.port}"), sender=SENDER)
        found = await results(sender, mail())
    assert found[0].result is SendResult.UNAVAILABLE
    assert "MAIL" not in server.verbs


async def test_server_without_starttls_gets_nothing_unencrypted() -> None:
    async with scripted_smtp() as server:
        sender = SmtpAccount(SmtpServer.from_url(f"smtp+starttls://u:p@127.0.0.1:{server.port}"), sender=SENDER)
        found = await results(sender, mail())
    assert found[0].result is SendResult.UNAVAILABLE
    assert not {"AUTH", "MAIL"} & set(server.verbs)


async def test_mail_after_a_refused_password_was_not_accepted_and_the_next_logs_in_again() -> None:
    async with scripted_smtp(AUTH=[b"535 wrong"]) as server:
        url = f"smtp://u:p@127.0.0.1:{server.port}"
        sender = SmtpAccount(SmtpServer.from_url(url), sender=SENDER, connections=1)
        found = await results(sender, mail(), mail())
    assert found == [Disposition(SendResult.UNAVAILABLE, "smtp_535"), Disposition(SendResult.SENT)]
    assert server.verbs.count("AUTH") == 2


@pytest.mark.parametrize("last_reply", [None, b"421 idle too long"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_kept_connection_that_was_closed_is_replaced_at_once(verb: str, last_reply: bytes | None) -> None:
    usual = b"354 go on" if verb == "DATA" else b"250 fine"
    async with scripted_smtp(**{verb: [usual, last_reply]}) as server:
        found = await results(account(server.port), mail(), mail())
    assert found == [Disposition(SendResult.SENT)] * 2
    assert (server.accepted, server.connections) == (2, 2)


async def test_mail_that_may_have_been_accepted_is_not_sent_again_on_a_new_connection() -> None:
    async with scripted_smtp(CONTENT=[b"250 taken", None]) as server:
        found = await results(account(server.port), mail(), mail())
    assert found == [Disposition(SendResult.SENT), Disposition(SendResult.UNKNOWN, "no_reply")]
    assert server.verbs.count("CONTENT") == 2


async def test_server_silent_after_a_refusal_costs_no_more_than_a_second() -> None:
    async with scripted_smtp(RCPT=[b"550 no such user"], RSET=[b""]) as server:
        started = asyncio.get_running_loop().time()
        found = await results(account(server.port), mail())
        assert asyncio.get_running_loop().time() - started < 3
    assert found == [Disposition(SendResult.REFUSED, "smtp_550")]


async def test_invalid_message_delays_no_other(sink: SmtpSink) -> None:
    found = await results(account(sink.port), mail("a\x00@example.com"), mail())
    assert found == [Disposition(SendResult.NOT_ACCEPTED, "smtp_error"), Disposition(SendResult.SENT)]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer("mail", 25, None, None, tls=False, starttls=None)),
        ("smtp+starttls://u%40x:p%2F@mail", SmtpServer("mail", 587, "u@x", "p/", tls=False, starttls=True)),
        ("smtps://mail:4650", SmtpServer("mail", 4650, None, None, tls=True, starttls=False)),
    ],
)
def test_server_from_url(url: str, server: SmtpServer) -> None:
    assert SmtpServer.from_url(url) == server


@pytest.mark.parametrize("url", ["http://mail", "mail:25", "smtp://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadSmtpUrl, match="SMTP account"):
        SmtpServer.from_url(url)
