"""Several mail accounts: weights, limits, an outage of a server, TLS and passwords."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.dispatcher.channels.breaker import Breaker, ProviderHealth
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.pace import DomainPace
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.domain.steps import Disposition, SendResult
from services.dispatcher.sending.account_balancer import AccountBalancer
from services.dispatcher.sending.sender import ChannelSender
from services.dispatcher.wiring import open_accounts
from shared.contract.events import Contact
from shared.contract.vocabulary import ChannelKind
from shared.smtp_server import SmtpServer
from tests.fakes import smtp_sink
from tests.integration.dispatcher.channels.test_smtp import SENDER, mail
from tests.integration.dispatcher.conftest import DAY, NOW, Chain, RememberingAccount, request

EMAIL = ChannelKind.EMAIL


class ManualMonotonic:
    """A monotonic clock that stands until the test moves it."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
    return port


def account(port: int, *, breaker: Breaker | None = None, **more: object) -> SmtpAccount:
    server = SmtpServer.from_url(f"smtp://127.0.0.1:{port}")
    return SmtpAccount(server, sender=SENDER, breaker=breaker, **{"connections": 1, **more})  # type: ignore[arg-type]


def results(dispositions: list[Disposition]) -> list[SendResult]:
    return [each.result for each in dispositions]


async def test_no_message_is_started_after_the_stop() -> None:
    stop, messages = asyncio.Event(), [mail(f"r{number}@example.com") for number in range(3)]
    async with smtp_sink() as sink:
        sink.on_data = stop.set
        sender = account(sink.port, stop=stop)
        found = await sender.send_all(messages, within_s=10)
        await sender.close()
    assert results(found) == [SendResult.SENT, SendResult.NOT_STARTED, SendResult.NOT_STARTED]


async def test_stop_ends_the_wait_for_the_rate_limit() -> None:
    stop = asyncio.Event()
    async with smtp_sink() as sink:
        sink.on_data = stop.set
        sender = account(sink.port, stop=stop, per_second=0.01)
        async with asyncio.timeout(5):
            found = await sender.send_all([mail("a@example.com"), mail("b@example.com")], within_s=1000)
        await sender.close()
    assert results(found) == [SendResult.SENT, SendResult.NOT_STARTED]


# --- a provider that is away


async def test_provider_away_for_fifteen_minutes_costs_no_try_and_no_mail(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(30)))
    port, watch = unused_port(), ManualMonotonic()
    sender = account(port, breaker=Breaker(monotonic=watch))
    channel_sender = chain.sender(EMAIL, sender)
    for minute in range(15):
        chain.clock.moment = NOW + timedelta(minutes=minute)
        watch.seconds += 60
        await channel_sender.perform_due()
    assert {(step["state"], step["tries"]) for step in await chain.steps(number=1)} == {("planned", 0)}
    async with smtp_sink(port=port) as sink:
        for minute in range(15, 19):
            chain.clock.moment = NOW + timedelta(minutes=minute)
            watch.seconds += 60
            await channel_sender.perform_due()
        await sender.close()
    assert len(sink.mails) == 30
    assert {(step["state"], step["tries"]) for step in await chain.steps(number=1)} == {("sent", 1)}


async def test_account_rests_after_three_failures_and_then_tries_one_message() -> None:
    watch = ManualMonotonic()
    sender = account(unused_port(), breaker=Breaker(monotonic=watch))
    found = await sender.send_all([mail() for _ in range(10)], within_s=10)
    assert Counter(results(found)) == {SendResult.UNAVAILABLE: 3, SendResult.NOT_STARTED: 7}
    assert sender.free_slots == 0
    watch.seconds += 15
    assert sender.free_slots == 1
    await sender.send_all([mail()], within_s=10)
    assert sender.free_slots == 0


async def test_each_failure_of_a_provider_away_for_hours_counts_as_a_try(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    watch = ManualMonotonic()
    channel_sender = chain.sender(EMAIL, account(unused_port(), breaker=Breaker(monotonic=watch, patience_s=3600)))
    for minute in range(0, 100, 10):
        chain.clock.moment = NOW + timedelta(minutes=minute)
        watch.seconds += 600
        for _ in range(3):
            await channel_sender.perform_due()
            chain.clock.moment += timedelta(minutes=1)
        if minute < 50:
            assert (await chain.step(asked.invitation_id, 1))["tries"] == 0
    first = await chain.step(asked.invitation_id, 1)
    assert (first["state"], first["reason"]) == ("failed", "provider_away")


async def test_server_that_is_back_after_hours_gets_the_mail_at_once() -> None:
    port, watch = unused_port(), ManualMonotonic()
    sender = account(port, breaker=Breaker(monotonic=watch, patience_s=60))
    await sender.send_all([mail() for _ in range(3)], within_s=10)
    watch.seconds += 61
    assert results(await sender.send_all([mail(), mail()], within_s=10)) == [SendResult.NOT_ACCEPTED] * 2
    async with smtp_sink(port=port) as sink:
        assert results(await sender.send_all([mail(), mail()], within_s=10)) == [
            SendResult.SENT,
            SendResult.NOT_STARTED,
        ]
        assert results(await sender.send_all([mail(), mail()], within_s=10)) == [SendResult.SENT] * 2
        await sender.close()
    assert len(sink.mails) == 3


@pytest.mark.parametrize("result", [SendResult.SENT, SendResult.REFUSED, SendResult.NOT_ACCEPTED])
def test_any_reply_of_the_provider_ends_its_rest(result: SendResult) -> None:
    breaker = Breaker(failures=2)
    breaker.record(SendResult.UNAVAILABLE)
    breaker.record(SendResult.UNKNOWN)
    before = breaker.health
    breaker.record(result)
    assert (before, breaker.health) == (ProviderHealth.RESTING, ProviderHealth.WELL)


# --- shares


def senders(chain: Chain, *accounts: RememberingAccount, **weights: int) -> list[ChannelSender]:
    balancer = AccountBalancer(accounts, weights=weights)
    return [replace(chain.sender(EMAIL, each, daily_ceiling=10_000), balancer=balancer) for each in accounts]


def one_at_a_time(balancer: AccountBalancer, accounts: list[RememberingAccount], *, messages: int) -> Counter[str]:
    """Hand out messages one at a time: the accounts ask in turn, and the first that may take it gets it."""
    taken: Counter[str] = Counter()
    while taken.total() < messages:
        for account in accounts:
            with balancer.turn(account, day=NOW.date()) as places:
                if places and taken.total() < messages:
                    balancer.add_sent(account, 1, day=NOW.date())
                    taken[account.name] += 1
    return taken


def test_accounts_share_single_messages_by_weight() -> None:
    accounts = [RememberingAccount("main"), RememberingAccount("spare")]
    taken = one_at_a_time(AccountBalancer(accounts, weights={"main": 3}), accounts, messages=1000)
    assert 720 <= taken["main"] <= 780


async def test_others_take_over_from_an_account_that_is_away_and_it_catches_up_nothing_later(chain: Chain) -> None:
    main, spare = RememberingAccount("main", free_slots=0), RememberingAccount("spare")
    both = senders(chain, main, spare)
    await chain.take(*(request(f"r{number}") for number in range(100)))
    await chain.tick_idle(both)
    assert (len(main.taken), len(spare.taken)) == (0, 100)
    main.free_slots = 100
    taken = one_at_a_time(both[0].balancer, [spare, main], messages=400)
    assert abs(taken["main"] - taken["spare"]) <= 41


async def test_slow_account_delays_no_other(chain: Chain) -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def stall() -> None:
        going.set()
        await go_on.wait()

    slow, quick = RememberingAccount("slow", on_send=stall), RememberingAccount("quick")
    both = senders(chain, slow, quick)
    await chain.take(*(request(f"r{number}") for number in range(100)))
    stalled = asyncio.create_task(both[0].perform_due())
    await going.wait()
    await chain.tick_idle(both[1:])
    assert len(slow.taken) + len(quick.taken) == 100
    assert len(quick.taken) >= 80
    go_on.set()
    await stalled


# --- limits


async def test_account_in_warm_up_reaches_its_limit_and_the_other_goes_on(chain: Chain) -> None:
    new, old = RememberingAccount("new"), RememberingAccount("old")
    balancer = AccountBalancer([new, old])
    warm = DailyLimit(since=NOW.date(), first_day=5, growth=2)
    shared = replace(chain.sender(EMAIL, daily_ceiling=30, mode=SendMode.LIVE), balancer=balancer)
    both = [replace(shared, account=new, daily=warm), replace(shared, account=old)]
    await chain.take(*(request(f"r{number}") for number in range(60)))
    await chain.tick_idle(both)
    assert (len(new.taken), len(old.taken)) == (5, 30)
    moved = await chain.rows("SELECT DISTINCT due_at FROM due WHERE reason = 'daily_ceiling'")
    assert moved == [{"due_at": NOW.replace(hour=0) + DAY}]
    chain.clock.moment = NOW + DAY
    await chain.tick_idle(both)
    assert (len(new.taken), len(old.taken)) == (15, 45)


def test_warm_up_grows_day_by_day_to_the_limit() -> None:
    limit = DailyLimit(per_day=1000, since=date(2026, 3, 2), first_day=200, growth=1.5)
    days = [date(2026, 3, 1), *(date(2026, 3, 2) + timedelta(days=day) for day in (0, 1, 2, 5)), date(2036, 1, 1)]
    assert [limit.on(day) for day in days] == [200, 200, 300, 450, 1000, 1000]
    assert DailyLimit().on(date(2026, 3, 2)) is None


async def test_domain_limit_delays_its_own_domain_only(chain: Chain) -> None:
    crowd = [request(f"r{number}", contact=Contact(email=f"r{number}@busy.test")) for number in range(12)]
    others = [request(f"o{number}") for number in range(6)]
    await chain.take(*crowd, *others)
    async with smtp_sink() as sink:
        sender = account(sink.port, domains=DomainPace({"busy.test": 2}, ManualMonotonic()))
        await chain.sender(EMAIL, sender).perform_due()
        await sender.close()
    taken = Counter(recipient.rpartition("@")[2] for recipient in sink.recipients)
    assert taken["example.com"] == 6
    assert taken["busy.test"] == 2
    held = await chain.rows("SELECT due_at, tries FROM due WHERE reason = 'domain_rate' ORDER BY due_at")
    assert {row["tries"] for row in held} == {0}
    assert [row["due_at"] - NOW for row in held] == [timedelta(seconds=number / 2) for number in range(1, 11)]


def test_domain_pace_gives_each_message_a_time_of_its_own() -> None:
    watch = ManualMonotonic()
    pace = DomainPace({"*": 2.0}, watch)
    assert [pace.wait("a.test") for _ in range(4)] == [0, 0, 0.5, 1.0]
    assert pace.wait("b.test") == 0
    watch.seconds += 0.5
    assert pace.wait("a.test") == 0
    assert DomainPace({"a.test": 1.0}).wait("b.test") == 0


async def test_account_sends_no_faster_than_its_rate() -> None:
    async with smtp_sink() as sink:
        sender = account(sink.port, per_second=20)
        started = asyncio.get_running_loop().time()
        found = await sender.send_all([mail() for _ in range(30)], within_s=10)
        assert asyncio.get_running_loop().time() - started >= 0.45
        await sender.close()
    assert results(found) == [SendResult.SENT] * 30


async def test_messages_beyond_the_rate_are_not_started() -> None:
    async with smtp_sink() as sink:
        sender = account(sink.port, per_second=0.1)
        found = await sender.send_all([mail(), mail()], within_s=6)
        await sender.close()
    assert results(found) == [SendResult.SENT, SendResult.NOT_STARTED]
    assert sender.free_slots == 1


# --- settings


def settings(**values: object) -> DispatcherSettings:
    return DispatcherSettings(_env_file=None, send="live", **values)  # type: ignore[arg-type]


async def test_accounts_are_read_from_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "EARSHOT_SMTP_ACCOUNTS",
        """[{"name": "main", "url": "smtps://u:p@mail.test", "weight": 3, "per_second": 20, "per_domain": {"*": 10},
            "per_day": 5000, "warm_up": {"since": "2026-03-02", "first_day": 100, "growth": 2}},
            {"name": "spare", "url": "smtp+starttls://spare.test"}]""",
    )
    accounts = open_accounts(settings(smtp_url="smtp://old.test"))
    assert [each.name for each in accounts] == ["smtp", "main", "spare"]
    main = accounts[1]
    assert isinstance(main, SmtpAccount)
    assert (main.weight, main.daily.on(date(2026, 3, 3))) == (3, 200)


@pytest.mark.parametrize(
    "wrong",
    [
        [{"name": "a", "url": "http://mail"}],
        [{"name": "a", "url": "smtp://m"}, {"name": "a", "url": "smtp://n"}],
        [{"name": "smtp", "url": "smtp://m"}],
        [{"name": "a", "url": "smtp://m", "speed": 1}],
    ],
)
def test_invalid_accounts_are_refused_at_the_start(wrong: object) -> None:
    with pytest.raises(ValidationError, match="smtp_accounts"):
        settings(smtp_accounts=wrong)


# --- TLS and passwords


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out ca.pem -subj /CN=localhost"
    command = [*made.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")
    return context


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_mail_goes_out_over_tls_with_a_password(certificate: Path, scheme: str) -> None:
    context = served_with(certificate)
    tls, starttls = (context, None) if scheme == "smtps" else (None, context)
    async with smtp_sink(tls=tls, starttls=starttls, password="p%") as sink:
        for url, ca_file, expected in (
            (f"{scheme}://u:p%25@localhost:{sink.port}", certificate / "ca.pem", SendResult.SENT),
            (f"{scheme}://u:p%25@localhost:{sink.port}", None, SendResult.UNAVAILABLE),  # signed by an unknown CA
            (
                f"{scheme}://u:p%25@127.0.0.1:{sink.port}",
                certificate / "ca.pem",
                SendResult.UNAVAILABLE,
            ),  # not its name
            (f"{scheme}://u:wrong@localhost:{sink.port}", certificate / "ca.pem", SendResult.UNAVAILABLE),
        ):
            sender = SmtpAccount(SmtpServer.from_url(url, ca_file=ca_file), sender=SENDER, connections=1)
            assert results(await sender.send_all([mail()], within_s=10)) == [expected]
            await sender.close()
    assert len(sink.mails) == 1
