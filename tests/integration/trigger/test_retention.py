"""Decisions lie in partitions by month; past retention they are dropped, and only the keys of their events stay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from services.trigger.domain.deciding.stored_decision import EventKey, StoredDecision
from services.trigger.domain.programs.quotas import QuotaKey
from services.trigger.handlers.events import decide_events, read_event
from services.trigger.jobs.retention import RetentionJob
from services.trigger.repository import quotas, retention
from shared.contract.vocabulary import InvitationOutcome
from shared.database import db, partitions
from shared.database.db import Database
from shared.ids import first_id, made_at
from tests.integration.trigger.samples import (
    NOW,
    SETTINGS,
    cancellation,
    count,
    decide,
    later,
    message,
    published,
    purchase,
    reasons,
)
from tests.integration.trigger.test_feedback import answer, closed, events_of, handle

KEPT = timedelta(days=400)
MACHINE = datetime.now(UTC)
LATER = MACHINE + timedelta(days=500)


async def _fetch(database: Database, sql: str, *arguments: Any) -> list[db.Row]:
    async with database.sessions.begin() as session:
        return await db.fetch(session, sql, *arguments)


async def _run(database: Database, now: datetime = LATER) -> None:
    await RetentionJob(database.sessions, KEPT).run(now)


async def _partitions(database: Database) -> list[str]:
    async with database.sessions() as session:
        return [each.name for each in await partitions.list_partitions(session, "decisions")]


def _name(day: datetime) -> str:
    return f"decisions_{day:%Y_%m}"


async def test_decision_lies_in_the_partition_of_the_month_it_was_made(installed: Database) -> None:
    await decide(installed, [purchase("e1", at=later(days=-3650))])
    (row,) = await _fetch(installed, "SELECT tableoid::regclass::text AS name, id FROM decisions")
    assert row["name"] == _name(made_at(row["id"]))
    await _run(installed, MACHINE + timedelta(days=399))
    assert await count(installed, "decisions") == 1


async def test_partitions_are_made_ahead(installed: Database) -> None:
    await RetentionJob(installed.sessions, KEPT).tick()
    assert len(await _partitions(installed)) == 4
    await _run(installed, datetime(2030, 12, 31, tzinfo=UTC))
    assert {"decisions_2030_12", "decisions_2031_01", "decisions_2031_02"} <= set(await _partitions(installed))


async def test_missing_partition_is_made_by_the_batch_that_needs_it(installed: Database) -> None:
    await _fetch(installed, f"DROP TABLE {_name(MACHINE)}")
    assert await reasons(installed, [purchase("e1"), purchase("e2", customer={"id": "c2"})]) == ["asked", "unreachable"]
    assert _name(MACHINE) in await _partitions(installed)
    assert len(await published(installed)) == 1


async def test_missing_partition_is_made_where_the_pool_has_one_connection(installed: Database) -> None:
    await _fetch(installed, f"DROP TABLE {_name(MACHINE)}")
    narrow = Database(installed.url.text, schema="trigger", pool_size=1)
    try:
        assert await reasons(narrow, [purchase("e1")]) == ["asked"]
    finally:
        await narrow.close()


async def test_partition_is_made_once_by_several_processes(installed: Database) -> None:
    async def make() -> None:
        async with installed.sessions.begin() as session:
            await partitions.make_ahead(session, "decisions", now=datetime(2040, 1, 1, tzinfo=UTC))

    await asyncio.gather(*(make() for _ in range(4)))
    assert [name for name in await _partitions(installed) if "2040" in name] == [
        "decisions_2040_01",
        "decisions_2040_02",
        "decisions_2040_03",
    ]


async def test_repeat_in_another_month_is_a_repeat(installed: Database) -> None:
    """Two processes may decide one event at the turn of the month: the key of the event refuses the second."""
    (first,) = await decide(installed, [purchase("e1")])
    assert isinstance(first, StoredDecision)
    with pytest.raises(asyncpg.UniqueViolationError):
        await _fetch(installed, "INSERT INTO event_keys VALUES ($1)", EventKey("shop", "e1").hash)
    await _fetch(installed, "UPDATE decisions SET id = $1", _id(MACHINE, months=1))
    assert _name(MACHINE + timedelta(days=32)) != _name(MACHINE)
    (again,) = await decide(installed, [purchase("e1")])
    assert isinstance(again, StoredDecision)
    assert (again.reason, again.decided_at) == (first.reason, first.decided_at)
    assert await count(installed, "decisions") == 1


def _id(day: datetime, *, months: int) -> UUID:
    """Return the first id of a UUID of version 7 in a later month."""
    first = (day.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32 * months)).replace(day=1)
    return first_id(first)


async def test_decisions_are_dropped_by_month_with_their_touchpoints(installed: Database) -> None:
    await decide(installed, [purchase(f"e{number}", customer={"id": f"c{number}"}) for number in range(5)])
    await _run(installed, MACHINE + timedelta(days=399))
    assert await count(installed, "decisions") == 5
    await _run(installed)
    assert await count(installed, "decisions") == 0
    assert await count(installed, "touchpoints") == 0
    assert await count(installed, "event_keys") == 5
    assert _name(MACHINE) not in await _partitions(installed)


async def test_nothing_is_dropped_where_decisions_are_kept_for_ever(installed: Database) -> None:
    await decide(installed, [purchase("e1")])
    await RetentionJob(installed.sessions, None).run(LATER)
    assert await count(installed, "decisions") == 1


async def test_repeat_of_a_dropped_event_is_answered_as_a_repeat(
    installed: Database, client: httpx2.AsyncClient
) -> None:
    await decide(installed, [purchase("e1")])
    await _run(installed)
    asked = len(await published(installed))
    answer = await client.post(
        "/v1/events", content=message(purchase("e1")).body, headers={"content-type": "application/cloudevents+json"}
    )
    assert (answer.status_code, answer.json()["reason"]) == (202, "forgotten")
    tried = await client.post(
        "/v1/events?dry_run=true",
        content=message(purchase("e1")).body,
        headers={"content-type": "application/cloudevents+json"},
    )
    assert (tried.status_code, tried.json()["reason"]) == (200, "forgotten")
    assert len(await published(installed)) == asked
    assert await count(installed, "decisions") == 0


async def test_cancellation_of_a_forgotten_order_withdraws_nothing_and_is_remembered(installed: Database) -> None:
    await decide(installed, [purchase("e1", order="A-1")])
    await _run(installed)
    sent = [cancellation("e2", order="A-1"), purchase("e3", order="A-1", at=NOW)]
    assert await reasons(installed, sent) == ["nothing_to_withdraw", "withdrawn"]
    (row,) = await _fetch(installed, "SELECT purchases FROM respondents")
    assert row["purchases"] == 1


async def test_touchpoint_of_another_decision_stays(installed: Database) -> None:
    """The order of the dropped decision was decided by another event, whose decision is kept."""
    await decide(installed, [purchase("e1", order="A-1"), purchase("e2", order="A-1")])
    await _fetch(installed, "UPDATE touchpoints SET source = 'shop', event_id = 'e9', decision_id = NULL")
    await _run(installed)
    assert await count(installed, "touchpoints") == 1


async def test_decisions_of_before_there_were_months_leave_their_keys(installed: Database) -> None:
    """They have no keys yet: these are kept when the table is emptied, which stays for the code that reads it."""
    await _as_before_months(installed, ["e1", "e2"])
    assert await reasons(installed, [purchase("e1"), purchase("e2", order="order of e1")]) == ["asked", "conflict"]
    await _run(installed)
    assert await count(installed, "decisions_first") == 0
    assert await reasons(installed, [purchase("e1"), purchase("e2"), purchase("e3")]) == [
        "forgotten",
        "forgotten",
        "quarantined",
    ]
    await _run(installed)
    assert await count(installed, "event_keys") == 3


async def _as_before_months(database: Database, ids: Sequence[str]) -> None:
    """Move the decisions about new events into the first partition, without keys."""
    await decide(database, [purchase(id_) for id_ in ids])
    await _fetch(database, "DELETE FROM event_keys")
    columns = "source, event_id, digest, type, respondent_id, subject, event_time, decided_at, reason, trail, shape"
    sql = f"""WITH old AS (DELETE FROM decisions RETURNING *)
INSERT INTO decisions (id, own_values, {columns})
SELECT ('00000000-0000-7000-8000-' || lpad(row_number() OVER ()::text, 12, '0'))::uuid, own_values, {columns}
FROM old"""  # noqa: S608 - a test's own
    await _fetch(database, sql)


async def test_interrupted_retention_goes_on(installed: Database) -> None:
    await _as_before_months(installed, [f"e{number}" for number in range(5)])
    async with installed.sessions.begin() as session:
        last = await retention.forget_batch(session, "decisions_first", after=UUID(int=0), limit=2)
    assert last is not None
    assert await count(installed, "event_keys") == 2
    job = RetentionJob(installed.sessions, KEPT)
    job.stop.set()
    await job.run(LATER)
    assert await count(installed, "decisions") == 5
    await _run(installed)
    assert (await count(installed, "decisions"), await count(installed, "event_keys")) == (0, 5)


async def test_retention_while_events_arrive_loses_nothing_and_decides_nothing_twice(installed: Database) -> None:
    async def send(part: int) -> list[str]:
        people = [{"id": f"c{part}-{number}", "email": f"a{part}-{number}@shop.example"} for number in range(20)]
        events = [purchase(f"e{part}-{number}", customer=each) for number, each in enumerate(people)]
        return await reasons(installed, events)

    first = await asyncio.gather(*(send(part) for part in range(5)), *(_run(installed) for _ in range(2)))
    assert [each for each in first if each] == [["asked"] * 20] * 5
    again = await asyncio.gather(*(send(part) for part in range(5)), _run(installed))
    assert {reason for part in again if part for reason in part} <= {"asked", "forgotten"}
    await _run(installed)
    assert await count(installed, "event_keys") == 100
    assert len(await published(installed)) == 100


async def test_command_says_what_is_past_retention(installed: Database) -> None:
    await _as_before_months(installed, ["e1", "e2"])
    job = RetentionJob(installed.sessions, timedelta())
    (line,) = await job.report()
    assert line.startswith("decisions_first\tuntil ")
    assert "\t2 rows\t" in line
    assert await count(installed, "decisions") == 2
    await job.tick()
    assert await job.report() == []


async def test_counters_of_quotas_are_deleted_after_a_week(installed: Database) -> None:
    days = [(NOW - timedelta(days=age)).date() for age in (0, 7, 8, 400)]
    async with installed.sessions.begin() as session:
        await quotas.save(session, {QuotaKey("shop", "daily", "", day): 1 for day in days})
        await quotas.save(session, {QuotaKey("rare", "daily", "", days[3]): 1})
    await _run(installed)
    rows = await _fetch(installed, "SELECT program_id, day FROM quotas ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [("rare", days[3]), ("shop", days[1]), ("shop", days[0])]


async def test_constraint_of_the_operator_is_no_missing_partition(installed: Database) -> None:
    await _fetch(installed, "ALTER TABLE decisions ADD CONSTRAINT nothing_stays CHECK (false) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await decide(installed, [purchase("e1")])


async def test_touchpoints_of_a_batch_are_found_by_their_key(installed: Database) -> None:
    """A table of all orders must not be read once for every batch of them."""
    await decide(installed, [purchase(f"e{number}") for number in range(100)])
    others = "SELECT 'c' || n, 'order', n FROM generate_series(1, 20000) AS n"
    await _fetch(installed, "INSERT INTO touchpoints (respondent_id, kind, ref) " + others)
    await _fetch(installed, "ANALYZE touchpoints")
    scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'touchpoints'"
    async with installed.sessions.begin() as session:
        assert await retention.forget_batch(session, _name(MACHINE), after=UUID(int=0), limit=5) is not None
        (row,) = await db.fetch(session, scans)
    assert row["seq_scan"] == 0
    assert await count(installed, "touchpoints") == 20_095


async def test_what_arrives_about_a_forgotten_survey_is_taken(installed: Database) -> None:
    """Answers and ends of surveys, and the quarantine, need no touchpoint."""
    await decide(installed, [purchase("e1")])
    (asked,) = await _fetch(installed, "SELECT invitation_id FROM decisions")
    await _run(installed)
    late = [answer(asked["invitation_id"], 3), closed(asked["invitation_id"], InvitationOutcome.DECLINED)]
    for event in events_of(*late, *late):
        await handle(installed, [event])
    assert await count(installed, "touchpoints") == 0
    assert await reasons(installed, [purchase("e2")]) == ["quarantined"]


async def test_shapes_that_no_row_uses_any_more_are_deleted(installed: Database) -> None:
    await decide(installed, [purchase("e1"), purchase("e2", customer={"id": "c2"})])
    shapes = await count(installed, "shapes")
    await _fetch(installed, "INSERT INTO shapes VALUES (gen_random_uuid(), '{}')")
    await _as_if_made(installed, "e1", months=-1)
    await _run(installed, MACHINE.replace(day=1) + KEPT + timedelta(days=1))
    assert 0 < await count(installed, "shapes") < shapes
    (kept,) = await decide(installed, [purchase("e2", customer={"id": "c2"})])
    assert isinstance(kept, StoredDecision)
    assert (kept.type, kept.trail[-1]["rule"]) == ("crm.purchase.completed", "unreachable")
    await _run(installed)
    assert await count(installed, "shapes") == 0


async def _as_if_made(database: Database, event_id: str, *, months: int) -> None:
    async with database.sessions.begin() as session:
        month = made_at(_id(MACHINE, months=months)).date()
        await db.fetch(session, "SELECT make_partition('decisions', $1::date)", month)
        made = _id(MACHINE, months=months)
        (row,) = await db.fetch(session, "SELECT id FROM decisions WHERE event_id = $1", event_id)
        await db.fetch(session, "UPDATE touchpoints SET decision_id = $2 WHERE decision_id = $1", row["id"], made)
        await db.fetch(session, "UPDATE decisions SET id = $2 WHERE id = $1", row["id"], made)


async def test_shape_that_is_used_again_meanwhile_stays(installed: Database) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    await decide(installed, [purchase("e1", customer={"id": "c1"})])
    await _fetch(installed, "DELETE FROM decisions")
    await _fetch(installed, "DELETE FROM touchpoints")
    async with installed.sessions() as session:
        unused = await retention.shapes(session)
    async with installed.sessions.begin() as deciding:
        again = read_event(message(purchase("e2", customer={"id": "c2"})))
        await decide_events(deciding, [again], now=NOW, settings=SETTINGS)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await _delete_shapes(installed, unused, since=began)
    assert await count(installed, "shapes") == len(unused)
    assert await _delete_shapes(installed, unused, since=began) == 0
    assert await _delete_shapes(installed, unused, since=LATER) == len(unused)


async def _delete_shapes(database: Database, unused: set[UUID], *, since: datetime) -> int:
    async with database.sessions.begin() as session:
        return await retention.delete_shapes(session, unused, since=since)
