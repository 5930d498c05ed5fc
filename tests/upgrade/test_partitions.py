"""The upgrade to partitions: decisions of before are found, the table is not copied, and it may stop half-way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from deploy.databases import MIGRATIONS
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.jobs.retention import RetentionJob
from services.trigger.main import install_programs
from shared import database_url, migrations
from shared.clock import ManualClock
from shared.database import db, embedded, partitions
from shared.database.db import Database
from tests.integration.trigger.samples import NOW, cancellation, count, decide, purchase, reasons

TRIGGER = MIGRATIONS["trigger"]
BEFORE = "0005"
_DECISION = """INSERT INTO decisions (id, source, event_id, digest, type, respondent_id, subject, event_time,
decided_at, reason, program_id, program_version, invitation_id, trail)
VALUES ($1, 'shop', $2, $3, 'crm.purchase.completed', 'c1', $4, $5, $5, 'asked', 'after-purchase', 1, $1,
'[{"rule": "asked", "facts": {"channels": ["email"]}, "program": "after-purchase", "version": 1}]')"""
_TOUCHPOINT = """INSERT INTO touchpoints (respondent_id, kind, ref, source, event_id, invitation_id, program_id, state,
details) VALUES ('c1', 'order', $2, 'shop', $1, $3, 'after-purchase', 'open', '{"order": {"id": "A-1"}}')"""


@pytest.fixture
async def before(postgres: embedded.Embedded) -> AsyncIterator[Database]:
    """Trigger at the revision before, with a decision about the event `old` and its order A-1."""
    urls: Mapping[str, str] = await embedded.prepare(postgres, f"p{uuid4().hex[:12]}")
    database = Database(urls["trigger"], schema="trigger", pool_size=4)
    await migrations.upgrade(database, TRIGGER, to=BEFORE)
    async with database.sessions.begin() as session:
        id_ = uuid7()
        await db.fetch(session, _DECISION, id_, "old", b"\x00" * 32, "A-1", NOW)
        await db.fetch(
            session, "INSERT INTO respondents (id, spread, purchases, known_at) VALUES ('c1', 0, 1, $1)", NOW
        )
        await db.fetch(session, _TOUCHPOINT, "old", "A-1", id_)
    yield database
    await database.close()


async def _upgraded(database: Database) -> None:
    await migrations.upgrade(database, TRIGGER)
    await install_programs(database, ManualClock(NOW))


async def _node(database: Database, table: str) -> int:
    async with database.sessions() as session:
        (row,) = await db.fetch(session, "SELECT pg_relation_filenode($1::text::regclass) AS node", table)
    return int(row["node"])


async def test_table_of_before_becomes_the_first_partition_as_it_is(before: Database) -> None:
    node = await _node(before, "decisions")
    await _upgraded(before)
    assert await _node(before, "decisions_first") == node
    async with before.sessions() as session:
        first, *rest = await partitions.list_partitions(session, "decisions")
        now = await partitions.machine_time(session)
    assert first.name == "decisions_first"
    assert 30 <= (first.ends_at - now).days <= 62
    assert [each.name for each in rest] == [f"decisions_{first.ends_at:%Y_%m}"]


async def test_events_of_before_are_repeats_and_their_orders_are_known(before: Database) -> None:
    await _upgraded(before)
    sent = [purchase("old"), purchase("new", order="A-1"), cancellation("gone", order="A-1")]
    assert await reasons(before, sent) == ["conflict", "duplicate", "withdrawn"]
    assert await count(before, "decisions_first") == 3


async def test_decision_of_before_is_read_whole(before: Database) -> None:
    await _upgraded(before)
    async with before.sessions.begin() as session:
        await db.fetch(session, "UPDATE decisions SET digest = 'historic'")
    (old,) = await decide(before, [purchase("old", order="A-1")])
    assert isinstance(old, StoredDecision)
    assert (old.type, old.program_id, old.program_version) == ("crm.purchase.completed", "after-purchase", 1)
    assert old.trail[0]["facts"] == {"channels": ["email"]}


@pytest.mark.parametrize("stopped_at", ["0006", "0007", "0008"])
async def test_upgrade_that_was_stopped_half_way_goes_on(before: Database, stopped_at: str) -> None:
    assert (await migrations.upgrade(before, TRIGGER, to=stopped_at)).fingerprint.startswith(stopped_at)
    async with before.sessions.begin() as session:  # the version before goes on meanwhile
        await db.fetch(session, _DECISION, uuid7(), "meanwhile", b"\x00" * 32, "A-2", NOW)
    await _upgraded(before)
    assert await reasons(before, [purchase("meanwhile"), purchase("old")]) == ["conflict", "conflict"]


async def test_repeat_that_the_version_before_decides_meanwhile_is_refused(before: Database) -> None:
    """It writes no key of the event; both write to the table of before, whose unique constraint holds."""
    await _upgraded(before)
    assert await reasons(before, [purchase("e1")]) == ["asked"]
    async with before.sessions() as session:
        with pytest.raises(asyncpg.UniqueViolationError):
            await db.fetch(session, _DECISION, uuid7(), "e1", b"\x00" * 32, "A-2", NOW)


@asynccontextmanager
async def _as_role(database: Database, postgres: embedded.Embedded, privileges: str) -> AsyncIterator[Database]:
    """Open the database as a new role with these privileges on the tables."""
    role, own = f"role_{uuid4().hex[:8]}", database_url.parse(database.url.text)
    admin = await database_url.connect(database_url.parse(postgres.admin_url).of(database=own.database))
    try:
        await admin.execute(f"CREATE ROLE {role} LOGIN")
        await admin.execute(f"GRANT USAGE ON SCHEMA trigger TO {role}")
        await admin.execute(f"GRANT {privileges} ON ALL TABLES IN SCHEMA trigger TO {role}")
    finally:
        await admin.close()
    limited = Database(own.of(user=role).text, schema="trigger", pool_size=2)
    try:
        yield limited
    finally:
        await limited.close()


async def test_role_with_access_to_rows_only_makes_and_drops_partitions(
    before: Database, postgres: embedded.Embedded
) -> None:
    await _upgraded(before)
    async with _as_role(before, postgres, "SELECT, INSERT, UPDATE, DELETE") as limited:
        async with limited.sessions() as session:
            first, *_ = await partitions.list_partitions(session, "decisions")
        await RetentionJob(limited.sessions, timedelta()).run(first.ends_at)
        assert await count(limited, "decisions") == 0
        sent = [purchase("old"), purchase("e2", customer={"id": "c2"})]
        assert await reasons(limited, sent) == ["forgotten", "unreachable"]


@pytest.mark.parametrize(
    "statement", ["drop_partition('decisions', 'decisions_first')", "make_partition('decisions', '2040-01-01')"]
)
async def test_role_that_may_only_read_changes_no_partition(
    before: Database, postgres: embedded.Embedded, statement: str
) -> None:
    await _upgraded(before)
    async with _as_role(before, postgres, "SELECT") as limited, limited.sessions() as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.fetch(session, f"SELECT {statement}")
    assert await count(before, "decisions") == 1
