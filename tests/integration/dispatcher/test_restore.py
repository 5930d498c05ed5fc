"""A database restored from a backup sends nothing again that was sent after the backup, and loses nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.dispatcher import repository
from services.dispatcher.commands.ledger import Adoption
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.sending.restore_guard import RestoreGuard
from services.dispatcher.sending.sender import ChannelSender
from shared import database_url
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.events import Payload, ProgramPublished, RespondentOptedOut, SurveyRequested
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import ChannelKind, ProgramState, Service
from shared.database import db, embedded
from shared.health import NotReady
from shared.messaging import codec
from shared.messaging.relay_leadership import messages_in
from shared.messaging.transport import EventLog, TransportUnavailable, open_log
from shared.messaging.transport.kafka import create_topics
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    DAY,
    LINK_KEYS,
    NOW,
    Chain,
    RememberingAccount,
    answered,
    plan,
    request,
)

EMAIL = ChannelKind.EMAIL
OPERATE = Path("docs/operate.md")
HOUR = timedelta(hours=1)


@dataclass
class Provider(RememberingAccount):
    """Records the mails sent from every copy of the database."""

    free_slots: int = 1000

    @property
    def most(self) -> int:
        """How often the mail was sent that was sent most often."""
        return max(Counter((mail.recipient, mail.step) for mail in self.taken).values(), default=0)


@dataclass
class Site:
    """A dispatcher on one copy of the database, with an event log that is not restored."""

    chain: Chain
    log: EventLog
    provider: Provider
    guard: RestoreGuard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = RestoreGuard(self.chain.database.sessions, self.log)

    @property
    def sender(self) -> ChannelSender:
        return replace(self.chain.sender(EMAIL, self.provider), restore_guard=self.guard)

    async def take(self, *payloads: Payload) -> None:
        events = [cloudevents.new(each, service=Service.TRIGGER, at=self.chain.clock.now()) for each in payloads]
        await self.log.append([codec.encode(event) for event in events])
        await self.chain.take_events(events)

    async def send_at(self, moment: datetime) -> None:
        """Send all that is due, and publish what became of it."""
        self.chain.clock.moment = moment
        await self.guard.check()
        await self.chain.tick_idle([self.sender])
        rows = await self.chain.rows("DELETE FROM outbox RETURNING *")
        rows.sort(key=lambda row: row["id"])
        await self.log.append(messages_in(rows))

    async def adopt(self) -> None:
        chain = self.chain
        assert not await Adoption(chain.database.sessions, self.log, LINK_KEYS, ADDRESS_KEYS, chain.clock.now()).run()


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, other_urls: Mapping[str, str]) -> AsyncIterator[EventLog]:
    """Yield an event log that is not restored with the database."""
    if request.param == "postgres":
        log = open_log(other_urls["transport"])
    else:
        url, prefix = request.getfixturevalue("kafka_url"), f"t{uuid4().hex[:10]}."
        await create_topics(url, TOPICS, topic_prefix=prefix)
        log = open_log(url, topic_prefix=prefix)
    yield log
    await log.close()


@pytest.fixture
def site(chain: Chain, log: EventLog) -> Site:
    return Site(chain, log, Provider())


@asynccontextmanager
async def admin(postgres: embedded.Embedded) -> AsyncIterator[asyncpg.Connection]:
    connection = await database_url.connect(postgres.admin_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def backup(site: Site, postgres: embedded.Embedded, name_of: Mapping[str, str]) -> AsyncIterator[str]:
    """Copy the database as it is now; return the name of the copy."""
    copy = f"t{uuid4().hex[:12]}"
    await site.chain.database.close()
    async with admin(postgres) as connection:
        await connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name(name_of)}")
        yield copy
        await connection.execute(f"DROP DATABASE IF EXISTS {copy} WITH (FORCE)")


def name(urls: Mapping[str, str]) -> str:
    return database_url.parse(urls["dispatcher"]).database


@asynccontextmanager
async def restored(site: Site, postgres: embedded.Embedded, copy: str) -> AsyncIterator[Site]:
    """Start another dispatcher on a copy, with the same log and provider."""
    database = db.Database(postgres.urls(copy)["dispatcher"], schema="dispatcher")
    yield Site(Chain(database, ManualClock(site.chain.clock.now())), site.log, site.provider)
    await database.close()


async def test_a_program_stopped_after_the_backup_is_stopped_in_the_restored_database(site: Site) -> None:
    published = ProgramPublished(program_id="shop", program_version=1, document={}, state=ProgramState.STOPPED)
    await site.log.append([codec.encode(cloudevents.new(published, service=Service.TRIGGER, at=NOW))])
    assert await site.chain.rows("SELECT 1 FROM programs") == []
    await site.guard.check()
    assert await site.chain.rows("SELECT id, state FROM programs") == [{"id": "shop", "state": "stopped"}]
    assert site.guard.is_open


def mailed_twice(respondents: range) -> list[SurveyRequested]:
    return [request(f"r{number}", plan=plan((EMAIL, 0), (EMAIL, 3))) for number in respondents]


async def an_hour_of_work(site: Site) -> list[SurveyRequested]:
    """Send due mails, handle and send new requests, handle an answer and an opt-out."""
    later = mailed_twice(range(60, 90))
    await site.send_at(NOW + HOUR)
    await site.take(*later)
    await site.send_at(NOW + HOUR)
    told: list[Payload] = [answered(later[0])]
    told.append(RespondentOptedOut(respondent_id="r61", invitation_id=later[1].invitation_id, at=NOW + HOUR))
    await site.take(*told)
    await site.send_at(NOW + HOUR)
    return later


async def test_restored_database_sends_nothing_twice_and_goes_on_after_adopting_the_log(
    site: Site, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    first = mailed_twice(range(60))
    await site.take(*first[:30])
    await site.send_at(NOW)
    await site.take(*first[30:])
    async with backup(site, postgres, urls) as copy:
        later = await an_hour_of_work(site)
        assert (len(site.provider.taken), site.provider.most) == (90, 1)
        async with restored(site, postgres, copy) as again:
            await again.send_at(NOW + 2 * HOUR)
            assert len(site.provider.taken) == 90
            with pytest.raises(
                NotReady, match=r"60 attempts and 2 closed invitations that the database lacks.*earshot ledger adopt"
            ):
                await again.guard.ready()
            await again.adopt()
            await again.send_at(NOW + 2 * HOUR)
            await again.guard.ready()
            assert len(site.provider.taken) == 90
            await again.send_at(NOW + 4 * DAY)
            reminded = {mail.recipient for mail in site.provider.taken if mail.step == 2}
            expected = {each.contact.email for each in (*first, *later)} - {"r60@example.com", "r61@example.com"}
            assert (reminded, site.provider.most) == (expected, 1)
            assert await again.chain.outcome(later[0].invitation_id) == "answered"
            assert await again.chain.outcome(later[1].invitation_id) == "declined"
            [silence] = await again.chain.rows("SELECT respondent_id, reason FROM suppressions")
            assert silence == {"respondent_id": "r61", "reason": "opt_out"}


async def test_database_that_is_replaced_while_dispatcher_runs_is_compared_before_anything_is_sent(
    site: Site, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    await site.take(*mailed_twice(range(60)))
    async with backup(site, postgres, urls) as copy:
        await an_hour_of_work(site)
        assert site.guard.is_open
        await site.chain.database.close()  # its pool connects again
        async with admin(postgres) as connection:
            await connection.execute(f"DROP DATABASE {name(urls)} WITH (FORCE)")
            await connection.execute(f"ALTER DATABASE {copy} RENAME TO {name(urls)}")
        assert await site.sender.perform_due() == 0
        assert not site.guard.is_open
        await site.guard.check()
        assert await site.sender.perform_due() == 0
        with pytest.raises(NotReady, match="attempts"):
            await site.guard.ready()
    assert (len(site.provider.taken), site.provider.most) == (90, 1)
    assert {step["state"] for step in await site.chain.steps(number=1)} == {"planned"}


async def test_request_deleted_from_the_log_is_not_sent_again_when_it_is_received_again(
    site: Site, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    async with backup(site, postgres, urls) as copy:
        lost = mailed_twice(range(5))
        await site.chain.take(*lost)  # past the log
        await site.send_at(NOW)
        async with restored(site, postgres, copy) as again:
            await again.adopt()
            await again.send_at(NOW)
            await again.guard.ready()
            await again.take(*lost)
            await again.send_at(NOW + 4 * DAY)
            assert await again.chain.outcome(lost[0].invitation_id) == "exhausted"
    assert (len(site.provider.taken), site.provider.most) == (5, 1)


def the_procedure() -> str:
    found = re.search(r"    WITH due AS \(DELETE FROM dispatcher\.due [^;]*;", OPERATE.read_text())
    assert found
    return found[0]


async def test_procedure_for_a_lost_log_sends_nothing_twice_and_stalls_nothing(
    site: Site, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    """The log was restored together with the database, so it shows no difference."""
    await site.take(*mailed_twice(range(60)))
    async with backup(site, postgres, urls) as copy:
        await an_hour_of_work(site)
        async with restored(site, postgres, copy) as again:
            again.guard.event_log = open_log(postgres.urls(copy)["transport"])
            await again.chain.rows(the_procedure().replace("due_at < now()", f"due_at < '{NOW + HOUR}'"))
            await reap(again.chain.database.sessions, again.chain.clock)
            await again.guard.check()
            assert await again.sender.perform_due() == 0
            again.chain.clock.moment = NOW + 5 * DAY
            await again.chain.tick_idle([again.sender])
            async with again.chain.database.sessions.begin() as session:
                assert await repository.stalled.of_all(session) == []
            await again.guard.event_log.close()
    assert (site.provider.most, sum(mail.step == 2 for mail in site.provider.taken)) == (1, 60)


async def test_adopting_known_events_changes_nothing(site: Site) -> None:
    await site.take(*mailed_twice(range(60)))
    await an_hour_of_work(site)
    before = await everything(site)
    await site.adopt()
    assert await everything(site) == before


async def everything(site: Site) -> list[list[dict[str, Any]]]:
    tables = ("invitations", "steps", "attempts", "suppressions", "early", "parked", "outbox")
    return [sorted(await site.chain.rows("TABLE " + table), key=str) for table in tables]


async def test_nothing_is_sent_before_the_log_was_read(site: Site) -> None:
    class Away:
        def history(self, topic: str, *, last: int | None = None) -> Any:
            raise TransportUnavailable(f"{topic} {last}")

    await site.take(*mailed_twice(range(5)))
    site.guard.event_log = Away()
    with pytest.raises(TransportUnavailable):
        await site.guard.check()
    assert await site.sender.perform_due() == 0
    with pytest.raises(NotReady, match="until the ledger has been compared"):
        await site.guard.ready()
    site.guard.event_log = site.log
    await site.send_at(NOW)
    assert len(site.provider.taken) == 5


async def test_empty_log_shows_no_difference_to_a_ledger(site: Site) -> None:
    await site.chain.take(*mailed_twice(range(5)))
    await site.guard.check()
    await site.guard.ready()
