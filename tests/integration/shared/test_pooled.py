"""A pooler in transaction mode: the relay holds a lease in place of a session lock, and no session state is used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest

from deploy import databases
from deploy.all_settings import AllSettings
from deploy.operations import error_messages
from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import Tally
from services.scoring.jobs import publish_scores
from services.scoring.repository.scores import buckets
from services.trigger.domain.programs.reading import read_program
from services.trigger.handlers.programs import apply_program, publish_again
from services.trigger.main import PROGRAMS
from shared.clock import ManualClock
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database_url import DatabaseOptions, NeedsSessions
from shared.messaging import outbox, relay_leadership
from shared.messaging.relay import Relay
from shared.messaging.transport import Message, open_log
from tests.integration.deploy.test_cli import earshot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POOLED = DatabaseOptions(pooled=True)
KEY = BucketKey("after-purchase", "all", "", NOW.date())
ENDED = "UPDATE leases SET until = clock_timestamp() - interval '1 s'"


class Topic:
    """The messages of the log, of all relays."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._more = asyncio.Event()

    def put(self, messages: Sequence[Message]) -> None:
        self.counts += [json.loads(message.body)["data"]["n"] for message in messages]
        self._more.set()

    async def shows(self, counts: list[int]) -> None:
        while self.counts != counts:
            self._more.clear()
            await self._more.wait()


class Log:
    """The log of one process; an append can pause half-way, as in a stopped process."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.standing, self.going_on = asyncio.Event(), asyncio.Event()

    async def append(self, messages: Sequence[Message]) -> None:
        self.standing.set()
        await self.going_on.wait()
        self._topic.put(messages)


@pytest.fixture(params=["trigger", "scoring"])
async def pooled(urls: Mapping[str, str], request: pytest.FixtureRequest) -> AsyncIterator[db.Database]:
    database = db.Database(urls[request.param], schema=request.param, options=POOLED)
    yield database
    await database.close()


@pytest.fixture
async def scoring(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    database = db.Database(urls["scoring"], schema="scoring", options=POOLED)
    yield database
    await database.close()


async def _rows(database: db.Database, sql: str) -> list[asyncpg.Record]:
    async with database.sessions.begin() as session:
        return await db.fetch(session, sql)


async def _add(database: db.Database, *keys: str) -> None:
    async with database.sessions.begin() as session:
        await db.write(session, outbox.add_statement([Message("survey.answers", key, b"{}") for key in keys]))


def _leadership(
    database: db.Database, republish: relay_leadership.Republish = relay_leadership.republish_nothing
) -> relay_leadership.LeaseLeadership:
    return relay_leadership.LeaseLeadership(database, republish=republish)


async def test_one_relay_has_the_lease_and_the_next_gets_it_when_it_is_given_back(pooled: db.Database) -> None:
    await _add(pooled, "a", "b")
    first, second = _leadership(pooled), _leadership(pooled)
    rows = await first.next_rows()
    assert rows is not None
    assert await second.next_rows() is None
    await first.delete(rows[:1])
    await first.release()
    assert [row["key"] for row in await second.next_rows() or []] == ["b"]


async def test_lease_that_ran_out_goes_to_who_asks(pooled: db.Database) -> None:
    await _add(pooled, "a")
    first, second = _leadership(pooled), _leadership(pooled)
    assert await first.next_rows()
    await first.release()  # the row may still be on its way, so the lease is kept
    assert await second.next_rows() is None
    await _rows(pooled, ENDED)
    assert await second.next_rows()
    assert await first.next_rows() is None


async def test_holder_that_is_late_forgets_nothing(pooled: db.Database) -> None:
    await _add(pooled, "a")
    first = _leadership(pooled)
    rows = await first.next_rows()
    assert rows
    await _rows(pooled, ENDED)
    await first.delete(rows)
    assert len(await _rows(pooled, "SELECT FROM outbox")) == 1


async def test_nothing_is_begun_in_the_last_part_of_a_lease(
    pooled: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add(pooled, "a")
    monkeypatch.setattr(relay_leadership, "SEND_BUDGET_S", relay_leadership.LEASE.total_seconds())
    assert await _leadership(pooled).next_rows() == []


async def _counted(database: db.Database, answers: int) -> None:
    """Count so many answers and publish the figures."""
    async with database.sessions.begin() as session:
        await db.write(session, buckets.add_statement({KEY: Tally((0,) * 10 + (answers,))}))
    await _published(database)


async def _published(database: db.Database) -> None:
    async with database.sessions.begin() as session:
        await publish_scores.publish_changes(session, now=NOW)


async def test_relay_stopped_past_its_lease_leaves_the_newest_score_in_the_log(scoring: db.Database) -> None:
    topic, stop = Topic(), asyncio.Event()
    logs = [Log(topic), Log(topic)]
    stopped, next_one = (
        Relay(scoring, log, service=Service.SCORING, republish=publish_scores.republish)  # type: ignore[arg-type]
        for log in logs
    )
    logs[1].going_on.set()
    await _counted(scoring, 1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(stopped.run(stop))
        await logs[0].standing.wait()  # SIGSTOP comes while it sends
        await _rows(scoring, ENDED)
        await _counted(scoring, 1)
        tasks.create_task(next_one.run(stop))
        await topic.shows([1, 2])
        await _published(scoring)  # requested by the takeover
        await topic.shows([1, 2, 2])
        logs[0].going_on.set()  # SIGCONT: it appends the rest of its batch now
        await topic.shows([1, 2, 2, 1])
        while not await _rows(scoring, "SELECT FROM buckets WHERE revision > published_revision"):
            continue
        await _published(scoring)
        await topic.shows([1, 2, 2, 1, 2])
        stop.set()
    assert await _rows(scoring, "SELECT FROM outbox") == []


async def test_takeover_publishes_the_newest_program_again(urls: Mapping[str, str]) -> None:
    database, clock = db.Database(urls["trigger"], schema="trigger", options=POOLED), ManualClock(NOW)
    document = read_program((PROGRAMS / "after-purchase.yaml").read_bytes())
    async with database.sessions.begin() as session:
        await apply_program(session, document, now=NOW)
    again = partial(publish_again, clock=clock)
    stopped, next_one = _leadership(database, again), _leadership(database, again)
    assert await stopped.next_rows()
    async with database.sessions.begin() as session:
        await apply_program(session, document.model_copy(update={"delay": timedelta(days=1)}), now=NOW)
    await _rows(database, ENDED)
    assert await next_one.next_rows()
    bodies = [json.loads(row["body"])["data"] for row in await _rows(database, "SELECT body FROM outbox ORDER BY id")]
    assert [body["program_version"] for body in bodies] == [1, 2, 2]
    await database.close()


async def test_a_pooled_session_gets_no_setting_and_keeps_no_statement(scoring: db.Database) -> None:
    async with scoring.sessions.begin() as session:
        (row,) = await db.fetch(
            session,
            """SELECT current_setting('statement_timeout') AS ends, current_setting('search_path') AS path,
            (SELECT count(*) FROM pg_prepared_statements WHERE name <> '') AS kept""",
        )
    assert tuple(row) == ("0", '"$user", public', 0)
    await scoring.ping()
    async with scoring.sessions.begin() as session:
        assert await db.fetch(session, "SELECT FROM pg_prepared_statements WHERE name <> ''") == []


async def test_events_through_a_pooled_postgresql_are_refused_in_words(urls: Mapping[str, str]) -> None:
    with pytest.raises(NeedsSessions, match="set EARSHOT_EVENTS_URL to a Kafka") as refused:
        open_log(urls["transport"], options=POOLED)
    assert error_messages.explain(refused.value) == str(refused.value)


async def test_migration_through_a_pooled_url_is_refused_in_words(urls: Mapping[str, str]) -> None:
    for command in ("migrate", "run"):
        code, said = await earshot(
            command,
            EARSHOT_DATABASE_URL=urls["scoring"],
            EARSHOT_DATABASE_POOLED="transaction",
            EARSHOT_EVENTS_URL="kafka://127.0.0.1:1",
            EARSHOT_SCORING_PORT="0",
            EARSHOT_TRIGGER_PORT="0",
            EARSHOT_DISPATCHER_PORT="0",
        )
        assert (code, said.count("\n")) == (1, 1)
        assert "a migration needs a session of its own: set EARSHOT_MIGRATE_ON_START=false" in said


async def test_role_that_works_in_another_schema_is_named(urls: Mapping[str, str]) -> None:
    await databases.check_search_paths({"scoring": urls["scoring"]}, POOLED)
    with pytest.raises(NeedsSessions, match="ALTER ROLE scoring SET search_path = trigger"):
        await databases.check_search_paths({"trigger": urls["scoring"]}, POOLED)


def test_a_demo_is_never_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DATABASE_POOLED", "transaction")
    assert AllSettings.from_environment().scoring.database_options.pooled
    assert not AllSettings.for_demo().scoring.database_options.pooled
