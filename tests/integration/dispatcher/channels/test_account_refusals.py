"""A mail server that refuses our account, and not the recipients: mails wait, and none loses a try."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog

from services.dispatcher import repository
from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.email.refusals import RefusalRuns
from services.dispatcher.domain.steps import Disposition, SendResult
from services.dispatcher.sending.account_alerts import AccountAlerts
from shared.contract.events import Contact, SurveyRequested
from shared.contract.vocabulary import ChannelKind
from tests.fakes import smtp_sink
from tests.integration.dispatcher.channels.test_mail_accounts import ManualMonotonic, account
from tests.integration.dispatcher.channels.test_smtp import mail
from tests.integration.dispatcher.conftest import NOW, Chain, plan, request
from tests.integration.dispatcher.pages.conftest import browser

EMAIL = ChannelKind.EMAIL
MAILS_FIRST = plan((EMAIL, 0), (EMAIL, 3), (ChannelKind.SMS, 6))


def people(count: int, *, domains: Sequence[str] = ("example.com",)) -> list[SurveyRequested]:
    return [
        request(f"r{n}", contact=Contact(email=f"r{n}@{domains[n % len(domains)]}"), plan=MAILS_FIRST)
        for n in range(count)
    ]


async def minutes(chain: Chain, smtp: SmtpAccount, watch: ManualMonotonic, count: int, *, start: int = 0) -> None:
    """Let minutes pass, each with several rounds of the sender."""
    sender = chain.sender(EMAIL, smtp)
    for minute in range(start, start + count):
        chain.clock.moment = NOW + timedelta(minutes=minute)
        watch.seconds += 60
        for _ in range(2):
            await sender.perform_due()


async def first_steps(chain: Chain) -> list[tuple[str, int]]:
    return sorted({(step["state"], step["tries"]) for step in await chain.steps(number=1)})


ABOUT_US = (
    "454 Throttling failure: Maximum sending rate exceeded.",
    "452 4.5.3 Too many recipients",
    "421 4.7.0 Try again later, closing connection",
    "451 4.3.2 System not accepting messages",
    "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org",
    "550 5.4.5 Daily user sending limit exceeded",
    "554 5.7.1 Message rejected",
)


@pytest.mark.parametrize("reply", ABOUT_US)
@pytest.mark.parametrize("domains", [("example.com",), ("example.com", "example.org", "example.net")])
async def test_refusal_of_our_account_for_twenty_minutes_costs_no_tries(
    chain: Chain, reply: str, domains: tuple[str, ...]
) -> None:
    await chain.take(*people(12, domains=domains))
    watch = ManualMonotonic()
    async with smtp_sink() as sink:
        sink.verdict = reply
        smtp = account(sink.port, breaker=Breaker(monotonic=watch))
        await minutes(chain, smtp, watch, 20)
        assert await first_steps(chain) == [("planned", 0)]
        assert await chain.rows("SELECT 1 FROM attempts") == []
        assert await chain.rows("SELECT 1 FROM suppressions") == []
        sink.verdict = "250 OK"
        await minutes(chain, smtp, watch, 30, start=20)
        await smtp.close()
    assert await first_steps(chain) == [("sent", 1)]


async def test_greylisting_behaves_as_it_is_meant_for_each_recipient(chain: Chain) -> None:
    await chain.take(*people(5))
    watch = ManualMonotonic()
    async with smtp_sink() as sink:
        sink.verdict = "451 4.7.1 Greylisted, please try again in 300 seconds"
        smtp = account(sink.port, breaker=Breaker(monotonic=watch))
        await minutes(chain, smtp, watch, 1)
        assert await first_steps(chain) == [("planned", 1)]
        sink.verdict = "250 OK"
        await minutes(chain, smtp, watch, 6, start=5)
        await smtp.close()
    assert await first_steps(chain) == [("sent", 2)]


async def test_domain_that_refuses_us_delays_no_other_domain(chain: Chain) -> None:
    await chain.take(*people(20, domains=("example.com", "example.org")))
    watch = ManualMonotonic()
    async with smtp_sink() as sink:
        sink.replies = {f"r{n}@example.com": "451 4.4.2 later" for n in range(20)}
        smtp = account(sink.port, breaker=Breaker(monotonic=watch), connections=1)
        await minutes(chain, smtp, watch, 30)
        await smtp.close()
    assert {recipient.partition("@")[2] for recipient in sink.recipients} == {"example.org"}
    assert len(sink.recipients) == 10


async def test_refused_account_is_told_once_and_shown(chain: Chain) -> None:
    await chain.take(*people(10))
    watch = ManualMonotonic()
    async with smtp_sink() as sink:
        sink.verdict = "550 5.4.5 Daily user sending limit exceeded"
        smtp = account(sink.port, breaker=Breaker(monotonic=watch))
        with structlog.testing.capture_logs() as logs:
            await minutes(chain, smtp, watch, 20)
        await smtp.close()
    errors = [each for each in logs if each["log_level"] == "error"]
    assert [(each["event"], each["reason"]) for each in errors] == [("account.refused", "smtp_550_5.4.5")]
    assert "@" not in str(errors)
    async with browser(chain) as client:
        page = (await client.get("/invitations")).text
    assert "1 message waits: the provider of smtp refuses our account (smtp_550_5.4.5)" in page
    async with chain.database.sessions.begin() as session:
        (shown,) = await repository.refused_accounts(session, chain.clock.moment)
    assert (shown.account, shown.code) == ("smtp", "smtp_550_5.4.5")


def test_account_is_told_of_again_after_it_worked() -> None:
    alerts, refused = AccountAlerts(), Disposition(SendResult.UNAVAILABLE, "smtp_454")
    with structlog.testing.capture_logs() as logs:
        alerts.note("smtp", [refused] * 10)
        alerts.note("smtp", [Disposition(SendResult.SENT)])
        alerts.note("smtp", [refused] * 3)
        alerts.note("smtp", [Disposition(SendResult.UNAVAILABLE, "smtp_timeout")] * 5)
    assert [each["event"] for each in logs] == ["account.refused"] * 2


def test_recipients_whose_mailbox_is_full_are_not_taken_for_a_refusal_of_us() -> None:
    runs, full = RefusalRuns(), Disposition(SendResult.NOT_ACCEPTED, "smtp_452_4.2.2")
    assert [runs.judge(mail(), full) for _ in range(9)] == [full] * 9


def test_domain_that_refuses_for_hours_costs_tries_again() -> None:
    watch = ManualMonotonic()
    runs, unclear = RefusalRuns(monotonic=watch), Disposition(SendResult.NOT_ACCEPTED, "smtp_451", unclear=True)
    found = []
    for number in range(30):
        found.append(runs.judge(mail(f"r{number}@example.com"), unclear).result)
        watch.seconds += 900
    assert (found[5], found[-1]) == (SendResult.THROTTLED, SendResult.NOT_ACCEPTED)


async def test_other_account_sends_what_a_blocked_one_could_not(chain: Chain) -> None:
    await chain.take(*people(12))
    watch = ManualMonotonic()
    async with smtp_sink() as blocked, smtp_sink() as other:
        blocked.verdict = "554 5.7.1 192.0.2.1 is listed on our blacklist"
        first = account(blocked.port, name="first", breaker=Breaker(monotonic=watch))
        second = account(other.port, name="second", breaker=Breaker(monotonic=watch))
        await minutes(chain, first, watch, 1)
        assert first.free_slots == 0
        await minutes(chain, second, watch, 2, start=1)
        await first.close()
        await second.close()
    assert len(other.recipients) == 12
