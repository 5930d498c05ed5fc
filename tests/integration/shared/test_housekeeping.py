"""Which rows housekeeping deletes, and which it must keep: without its inbox row a replayed event is handled twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils import uuid7

from shared.contract.cloudevents import Event
from shared.contract.events import Payload, RespondentErased
from shared.contract.vocabulary import Service
from shared.database import db
from shared.ids import first_id
from shared.messaging import housekeeping, inbox, parking
from shared.messaging.transport import Message
from shared.messaging.transport.postgres import RETENTION
from tests.integration.trigger.samples import NOW, count

GROUPS = ("earshot-trigger", "earshot-another")
KEPT_DAYS = (0, 3, 8, 29.9)
FORGOTTEN_DAYS = (30.1, 400)


def event(id_: str) -> Event[Payload]:
    return Event(id_, Service.TRIGGER.source, NOW, RespondentErased(respondent_id="c1"))


def made(at: datetime) -> str:
    """Return the id of an event that was made at this time."""
    return str(uuid7(nanoseconds=int(at.timestamp() * 1000) * 1_000_000))


async def aged(database: db.Database, table: str, column: str) -> None:
    """Make every row older by the number of days that its key begins with."""
    key = {"inbox": "event_id", "parked": "key"}[table]
    async with database.sessions.begin() as session:
        await db.fetch(session, f"UPDATE {table} SET {column} = now() - {key}::float8 * interval '1 day'")  # noqa: S608 - constants


async def test_old_event_ids_and_parked_messages_are_forgotten_and_no_others(trigger_db: db.Database) -> None:
    every = [*KEPT_DAYS, *FORGOTTEN_DAYS]
    events = [event(str(days)) for days in every]
    async with trigger_db.sessions.begin() as session:
        for group in GROUPS:
            assert await inbox.unseen(session, group, events) == events
        refused = [(Message("crm.events", str(days), b"olga@example.org", {}, f"crm/0/{days}"), "x") for days in every]
        await parking.park(session, refused)
    await aged(trigger_db, "inbox", "seen_at")
    await aged(trigger_db, "parked", "parked_at")

    for group in GROUPS:
        await housekeeping.delete_old(trigger_db.sessions, group)

    async with trigger_db.sessions.begin() as session:
        kept = [row.message.key for row in await parking.list_parked(session)]
        assert kept == [str(days) for days in KEPT_DAYS]
        for group in GROUPS:
            assert await inbox.unseen(session, group, events) == [event(str(days)) for days in FORGOTTEN_DAYS]


async def test_inbox_remembers_longer_than_topics_keep(trigger_db: db.Database) -> None:
    """Otherwise events that are read again from the beginning of a topic would be handled again."""
    days = RETENTION / timedelta(days=1)
    async with trigger_db.sessions.begin() as session:
        await inbox.unseen(session, GROUPS[0], [event(f"{days + 1}")])
    await aged(trigger_db, "inbox", "seen_at")
    await housekeeping.delete_old(trigger_db.sessions, GROUPS[0])
    async with trigger_db.sessions.begin() as session:
        assert await inbox.unseen(session, GROUPS[0], [event(f"{days + 1}")]) == []


async def test_id_is_remembered_from_when_it_was_stored_and_not_from_when_it_was_made(trigger_db: db.Database) -> None:
    """The event log may have been away for weeks, and then an old event is read again soon after."""
    old, new = (event(made(datetime.now(UTC) - timedelta(days=days))) for days in (400, 0))
    forgotten: list[Event[Payload]]
    for seen, forgotten in ((timedelta(days=29), []), (timedelta(days=31), [old])):
        async with trigger_db.sessions.begin() as session:
            await inbox.unseen(session, GROUPS[0], [old, new])
            await db.fetch(session, "UPDATE inbox SET seen_at = now() - $1::interval", seen)
        await housekeeping.delete_old(trigger_db.sessions, GROUPS[0])
        async with trigger_db.sessions.begin() as session:
            assert await inbox.unseen(session, GROUPS[0], [old, new]) == forgotten


async def test_old_ids_are_found_without_reading_the_others(trigger_db: db.Database) -> None:
    """Housekeeping once read the whole inbox every hour."""
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    seen = [now - (number + 0.5) * minute for number in range(31 * 24 * 60)]
    rows = [(GROUPS[0], made(at), at) for at in seen]
    connection = await trigger_db.connect()
    await connection.copy_records_to_table("inbox", records=rows)
    await connection.execute("VACUUM ANALYZE inbox")
    arguments = (inbox.KEPT, str(first_id(now - inbox.KEPT)), str(first_id(now + timedelta(days=1))))
    plan = await connection.fetch(f"EXPLAIN ANALYZE {inbox._FORGET}", GROUPS[0], *arguments)
    await connection.close()
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan" not in text
    deleted = 24 * 60
    assert await count(trigger_db, "inbox") == len(rows) - deleted
    assert f"rows={deleted}" in text


@pytest.mark.parametrize("repeats", [0, 2])
async def test_event_is_fresh_once_for_each_group(trigger_db: db.Database, repeats: int) -> None:
    one, other = event("1"), event("2")
    async with trigger_db.sessions.begin() as session:
        assert await inbox.unseen(session, GROUPS[0], [other, one, *(event("1") for _ in range(repeats))]) == [
            other,
            one,
        ]
        assert await inbox.unseen(session, GROUPS[0], [one, other]) == []
        assert await inbox.unseen(session, GROUPS[1], [one, *(event("1") for _ in range(repeats))]) == [one]


async def test_only_the_named_are_unparked(trigger_db: db.Database) -> None:
    messages = [Message("crm.events", "k", f"{number}".encode(), {}, f"crm/0/{number}") for number in range(3)]
    async with trigger_db.sessions.begin() as session:
        await parking.park(session, [(message, "x") for message in [*messages, messages[0]]])
        first, second, third = await parking.list_parked(session)
        assert [row.message for row in (first, second, third)] == messages, "the oldest first, each once"
        await parking.delete(session, [second.id])
        assert [row.id for row in await parking.list_parked(session)] == [first.id, third.id]
        await parking.delete(session, [])
        assert len(await parking.list_parked(session, limit=1)) == 1
