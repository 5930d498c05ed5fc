"""Calls, answers and pauses of which only the operator's name was stored, before the upgrade and beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from deploy.databases import MIGRATIONS
from services.scoring.domain.calling.operators import Operator, id_without_account
from services.scoring.repository.calling import call_queue, calls, pauses
from shared import migrations
from shared.database import db, embedded
from shared.database.db import Database

SCORING = MIGRATIONS["scoring"]
BEFORE = "0028"
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
ANNA, NEW_ANNA = uuid4(), uuid4()
LEASE = timedelta(minutes=15)

_PERSON = "INSERT INTO people (id, login, name, roles) VALUES ($1, $1::uuid::text, $2, '{operator}')"
_RENAME = "UPDATE people SET name = $2 WHERE id = $1"
_INVITATION = """INSERT INTO invitations (id, respondent_id, fingerprint, program, occasion, content, dimensions,
expires_at, invited_day, counted, name, phone) VALUES ($1, 'c', '', 'p', '[]', '', '{}',
$2::timestamptz + interval '9 days', $2::timestamptz::date, true, '', '')"""
_CALL = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, due_at, due_until, expires_at)
VALUES ($1, $1, 'c', $2::timestamptz - interval '1 hour', $2::timestamptz + interval '9 hours',
$2::timestamptz + interval '9 days')"""
# what the version before writes about operators
_TAKE = """UPDATE call_tasks t SET leased_by = $2, lease_until = clock_timestamp() + interval '15 minutes',
taken_at = $3, taken_from = NULL WHERE t.task_id = $1"""
_ATTEMPT = """INSERT INTO call_attempts (task_id, attempt, disposition, operator, at, note)
VALUES ($1, 1, 'answered', $2, $3, '')"""
_RELEASE = """UPDATE call_tasks SET lease_until = NULL, leased_by = leased_by, state = 'closed', outcome = 'answered',
closed_at = taken_at WHERE task_id = $1"""
_ANSWER = """INSERT INTO answers (invitation_id, answer_id, version, score, reasons, extra, mode, step, suspect,
answered_at, first_day, callback_wanted, operator)
VALUES ($1, $1, 1, 9, '[]', '{}', 'operator', 4, false, $3::timestamptz, $3::timestamptz::date, false, $2)
ON CONFLICT (invitation_id) DO UPDATE SET version = answers.version + 1, operator = excluded.operator"""
_PAUSE = """INSERT INTO desk_pauses (pause_id, operator, started_at) VALUES ($1, $2, $3)
ON CONFLICT (operator) WHERE ended_at IS NULL DO NOTHING"""


@pytest.fixture
async def before(postgres: embedded.Embedded) -> AsyncIterator[Database]:
    """Scoring as the version before left it: Anna is the only person."""
    urls = await embedded.prepare(postgres, f"o{uuid4().hex[:12]}")
    database = Database(urls["scoring"], schema="scoring", pool_size=2)
    await migrations.upgrade(database, SCORING, to=BEFORE)
    await run(database, _PERSON, ANNA, "Anna")
    yield database
    await database.close()


async def run(database: Database, sql: str, *arguments: object) -> list[db.Row]:
    async with database.sessions.begin() as session:
        return await db.fetch(session, sql, *arguments)


async def call(database: Database) -> UUID:
    task_id = uuid4()
    await run(database, _INVITATION, task_id, NOW)
    await run(database, _CALL, task_id, NOW)
    return task_id


async def held(database: Database, name: str) -> UUID:
    task_id = await call(database)
    await run(database, _TAKE, task_id, name, NOW)
    return task_id


async def answered(database: Database, name: str) -> UUID:
    task_id = await held(database, name)
    for statement in (_ATTEMPT, _ANSWER):
        await run(database, statement, task_id, name, NOW)
    await run(database, _RELEASE, task_id)
    return task_id


async def rename_anna(database: Database) -> None:
    """Rename Anna to Anne, and give her name to another person."""
    await run(database, _RENAME, ANNA, "Anne")
    await run(database, _PERSON, NEW_ANNA, "Anna")


async def of(database: Database, task_id: UUID) -> set[UUID | None]:
    """Return the ids of the operator of a call, in each table."""
    rows = await run(
        database,
        """SELECT leased_by_id AS id FROM call_tasks WHERE task_id = $1 UNION
        SELECT operator_id FROM call_attempts WHERE task_id = $1 UNION
        SELECT operator_id FROM answers WHERE invitation_id = $1""",
        task_id,
    )
    return {row["id"] for row in rows}


async def test_pause_of_a_name_that_two_people_have_ends_and_whoever_left_takes_no_name(before: Database) -> None:
    await run(before, _PERSON, NEW_ANNA, "Anna")
    await run(before, _PERSON, uuid4(), "Olga")
    await run(before, "UPDATE people SET off_at = now() WHERE name = 'Olga'")
    olga = uuid4()
    await run(before, _PERSON, olga, "Olga")
    for name in ("Anna", "Olga"):
        await run(before, _PAUSE, uuid4(), name, NOW)
    await migrations.upgrade(before, SCORING)
    rows = await run(before, "SELECT operator, operator_id FROM desk_pauses WHERE ended_at IS NULL")
    assert [(row["operator"], row["operator_id"]) for row in rows] == [("Olga", olga)]


async def test_rows_of_before_are_of_who_has_exactly_the_name_at_the_upgrade(before: Database) -> None:
    tasks = [await answered(before, name) for name in ("Anna", "anna", "Boris")]
    open_call, free_call = await held(before, "Anna"), await call(before)
    await run(before, _PAUSE, uuid4(), "Anna", NOW)
    await run(before, _PAUSE, uuid4(), "Boris", NOW)
    await migrations.upgrade(before, SCORING)
    await rename_anna(before)
    await run(before, _PERSON, uuid4(), "Boris")
    assert [await of(before, task) for task in tasks] == [
        {ANNA},
        {id_without_account("anna")},
        {id_without_account("Boris")},
    ]
    assert (await of(before, open_call), await of(before, free_call)) == ({ANNA}, {None})
    anna, other = Operator(ANNA, "Anne"), Operator(NEW_ANNA, "Anna")
    async with before.sessions.begin() as session:
        assert await calls.keep(session, open_call, anna, lease=LEASE)
        assert not await calls.keep(session, open_call, other, lease=LEASE)
        corrected = await calls.load(session, tasks[0])
        assert corrected is not None
        assert (anna.is_(corrected.answered_by), other.is_(corrected.answered_by)) == (True, False)
        made = [(await call_queue.made_since(session, by, NOW - LEASE))["calls"] for by in (anna, other)]
        paused = [await pauses.paused_since(session, by) for by in (anna, other)]
    assert (made, paused) == ([1, 0], [NOW, None])
    shown = await run(before, 'SELECT operator FROM call_attempts ORDER BY operator COLLATE "C"')
    assert [row["operator"] for row in shown] == ["Anna", "Boris", "anna"]


async def test_what_the_version_before_writes_beside_belongs_to_who_has_the_name_then(before: Database) -> None:
    await migrations.upgrade(before, SCORING)
    first = await answered(before, "Anna")
    await run(before, _PAUSE, uuid4(), "Anna", NOW)
    await rename_anna(before)
    second, by_program = await answered(before, "Anna"), await held(before, "Boris")
    await run(before, _PAUSE, uuid4(), "Anne", NOW)
    assert [await of(before, task) for task in (first, second, by_program)] == [
        {ANNA},
        {NEW_ANNA},
        {id_without_account("Boris")},
    ]
    rows = await run(before, "SELECT operator_id FROM desk_pauses")
    assert {row["operator_id"] for row in rows} == {ANNA}


async def test_version_before_and_this_one_hand_calls_to_each_other(before: Database) -> None:
    await migrations.upgrade(before, SCORING)
    anna, task_id = Operator(ANNA, "Anna"), await call(before)
    async with before.sessions.begin() as session:
        assert await call_queue.take(session, anna, now=NOW, lease=LEASE)
    await run(before, _TAKE, task_id, "Boris", NOW)
    assert await of(before, task_id) == {id_without_account("Boris")}
    await run(before, _TAKE, task_id, "Anna", NOW)
    assert await of(before, task_id) == {ANNA}
    await run(before, "UPDATE call_tasks SET leased_by = NULL, lease_until = NULL")
    assert await of(before, task_id) == {None}
    await run(before, _ANSWER, task_id, "Anna", NOW)
    await run(before, _ANSWER, task_id, None, NOW)  # the customer corrects it
    assert await run(before, "SELECT 1 FROM answers WHERE operator_id IS NOT NULL") == []


async def test_who_was_renamed_is_not_lost_when_this_version_writes_the_new_name(before: Database) -> None:
    await migrations.upgrade(before, SCORING)
    task_id = await held(before, "Anna")
    await rename_anna(before)
    async with before.sessions.begin() as session:
        assert await call_queue.take(session, Operator(ANNA, "Anne"), now=NOW, lease=LEASE, task_id=task_id)
    rows = await run(before, "SELECT leased_by, leased_by_id FROM call_tasks")
    assert [tuple(row) for row in rows] == [("Anne", ANNA)]
