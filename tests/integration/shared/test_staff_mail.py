"""Mail to staff over real SMTP servers: accepted, refused, hanging, closing, and above its ceiling."""

from __future__ import annotations

import asyncio
import time
from email.header import decode_header, make_header

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr, ValidationError

from services.scoring.config import ScoringSettings
from shared.contract.vocabulary import Service
from shared.staff_mail import Delivery, StaffLetter, StaffMail
from tests.fakes import SmtpSink, scripted_smtp, smtp_sink, smtp_that_hangs_up

SENDER = "Эхо <earshot@shop.example>"
LETTER = StaffLetter("olga@shop.example", "Your password", "Здравствуйте\n.\n.http://127.0.0.1/join/" + "x" * 80 + "\n")


def settings_of(url: str, *, sender: str = SENDER, per_hour: int = 100) -> ScoringSettings:
    account = {"staff_smtp_url": SecretStr(url), "staff_from": sender, "staff_mails_per_hour": per_hour}
    return ScoringSettings.model_validate(account | {"staff_send": "live"})


def mail_over(port: int, *, per_hour: int = 100, url: str = "smtp://127.0.0.1:{}") -> StaffMail:
    settings = settings_of(url.format(port), per_hour=per_hour)
    mail = StaffMail.of(settings, Service.SCORING)
    assert mail is not None
    return mail


def counted(result: Delivery) -> float:
    labels = {"service": "scoring", "result": result}
    return REGISTRY.get_sample_value("earshot_staff_mails_total", labels) or 0.0


async def test_mail_arrives_as_it_was_written() -> None:
    before = counted(Delivery.SENT)
    async with smtp_sink() as sink:
        assert await mail_over(sink.port).send([LETTER]) == [Delivery.SENT]
    (message,) = sink.mails
    assert str(make_header(decode_header(message["From"]))) == "Эхо <earshot@shop.example>"
    assert (message["To"], message["Subject"]) == (LETTER.to, LETTER.subject)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@shop.example>")
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.decode().replace("\r\n", "\n") == LETTER.text
    assert sink.recipients == [LETTER.to]
    assert counted(Delivery.SENT) == before + 1


@pytest.mark.parametrize(
    "sender",
    [
        "earshot",
        "a@b.example, c@d.example",
        "=?utf-8?q?a=0D=0ABcc:_e@x.example?= <earshot@shop.example>",
        "Earshot\r\nBcc: e@x.example <earshot@shop.example>",
    ],
)
def test_sender_that_could_add_a_header_is_refused(sender: str) -> None:
    with pytest.raises(ValidationError, match="sender must be"):
        ScoringSettings(_env_file=None, staff_from=sender)


@pytest.mark.parametrize(("url", "sender"), [("", SENDER), ("smtp://127.0.0.1", "")])
def test_switch_without_an_account_is_refused(url: str, sender: str) -> None:
    with pytest.raises(ValidationError, match="EARSHOT_STAFF_SEND=live needs EARSHOT_STAFF_SMTP_URL"):
        settings_of(url, sender=sender)


def test_mail_to_staff_is_off_unless_it_is_switched_on() -> None:
    settings = ScoringSettings(_env_file=None, staff_smtp_url=SecretStr("smtp://127.0.0.1"), staff_from=SENDER)
    assert StaffMail.of(settings, Service.SCORING) is None


def letters(*names: str) -> list[StaffLetter]:
    return [StaffLetter(f"{name}@shop.example", "s", "t") for name in names]


async def test_one_refused_address_does_not_stop_the_others() -> None:
    async with smtp_sink() as sink:
        sink.replies["b@shop.example"] = "550 no such user"
        deliveries = await mail_over(sink.port).send(letters("a", "b", "c"))
    assert deliveries == [Delivery.SENT, Delivery.REFUSED, Delivery.SENT]
    assert sink.recipients == ["a@shop.example", "c@shop.example"]
    assert sink.connections == 1


async def test_server_that_is_closed_is_unavailable_for_all() -> None:
    async with smtp_sink() as sink:
        port = sink.port
    assert await mail_over(port).send(letters("a", "b")) == [Delivery.UNAVAILABLE] * 2


@pytest.mark.parametrize("after_dot", [False, True])
async def test_server_that_hangs_up_leaves_the_mail_unconfirmed(after_dot: bool) -> None:  # noqa: FBT001 - a parameter
    async with smtp_that_hangs_up(after_dot=after_dot) as port:
        assert await mail_over(port).send(letters("a", "b")) == [Delivery.UNCONFIRMED, Delivery.UNAVAILABLE]


async def test_server_that_says_nothing_costs_seconds() -> None:
    began = time.monotonic()
    async with scripted_smtp(GREETING=[b""]) as server:
        assert await mail_over(server.port).send(letters("a")) == [Delivery.UNAVAILABLE]
    assert time.monotonic() - began < 15


async def test_server_that_hangs_in_a_mail_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.staff_mail._MAIL_S", 0.2)
    async with scripted_smtp(CONTENT=[b""]) as server:
        assert await mail_over(server.port).send(letters("a", "b")) == [Delivery.UNCONFIRMED, Delivery.UNAVAILABLE]
    assert server.accepted == 0


async def test_server_that_closes_says_so_for_the_mail_that_was_under_way() -> None:
    async with scripted_smtp(MAIL=[b"421 closing", None]) as server:
        assert await mail_over(server.port).send(letters("a", "b")) == [Delivery.UNCONFIRMED, Delivery.UNAVAILABLE]


async def test_wrong_password_is_said() -> None:
    async with scripted_smtp(AUTH=[b"535 no", b"535 no", b"235 yes", b"235 yes"]) as server:
        mail = mail_over(server.port, url="smtp://earshot:p@127.0.0.1:{}")
        for expected in (Delivery.LOG_IN, Delivery.SENT):
            assert await mail.check() == expected
            assert await mail.send([LETTER]) == [expected]
    assert server.accepted == 1


async def test_ceiling_refuses_what_is_above_it_until_the_hour_is_over() -> None:
    now = 0.0
    before = counted(Delivery.CEILING)
    async with smtp_sink() as sink:
        mail = mail_over(sink.port, per_hour=2)
        mail._monotonic = lambda: now
        assert await mail.send(letters("a")) == [Delivery.SENT]
        now = 1800.0
        assert await mail.send(letters("b", "c")) == [Delivery.SENT, Delivery.CEILING]
        now = 3599.0
        assert await mail.send(letters("d")) == [Delivery.CEILING]
        now = 3600.0
        assert await mail.send(letters("e", "f")) == [Delivery.SENT, Delivery.CEILING]
    assert counted(Delivery.CEILING) == before + 3


async def test_refused_mail_counts_and_a_server_that_is_away_does_not() -> None:
    async with smtp_sink() as sink:
        mail = mail_over(sink.port, per_hour=1)
        sink.verdict = "554 no"
        assert await mail.send(letters("a")) == [Delivery.REFUSED]
        assert await mail.send(letters("b")) == [Delivery.CEILING]
    async with smtp_sink() as later:
        port = later.port
    mail = mail_over(port, per_hour=1)
    assert await mail.send(letters("a")) == [Delivery.UNAVAILABLE]
    assert not mail._begun


async def test_cancelled_sending_closes_its_connection() -> None:
    async with smtp_sink() as sink:
        sink.stalled.add(LETTER.to)
        sending = asyncio.create_task(mail_over(sink.port).send([LETTER]))
        await sink.stalling.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        sink.go_on.set()
        assert await mail_over(sink.port).send(letters("a")) == [Delivery.SENT]


async def test_no_mail_opens_no_connection() -> None:
    sink: SmtpSink
    async with smtp_sink() as sink:
        assert await mail_over(sink.port).send([]) == []
    assert sink.connections == 0
