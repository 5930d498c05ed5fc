"""`earshot parked`: a message leaves the table only together with what it did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from deploy.operations import parked, parked_replay
from services.trigger.domain.sources.source import SOURCE_HEADER
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.database import db
from shared.messaging import codec, parking
from shared.messaging.parking import Parked
from shared.messaging.transport import Message, open_log
from tests.integration.dispatcher.conftest import NOW, request


@pytest.fixture(autouse=True)
def _settings(urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_ENVIRONMENT", "production")  # where nothing may start a database of its own
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    monkeypatch.setenv("EARSHOT_EVENTS_URL", urls["transport"])
    monkeypatch.setenv("EARSHOT_LINK_KEYS", "dev:only-for-this-machine")


async def earshot(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, parked.app, [*words])


async def rows(database: db.Database) -> list[Parked]:
    async with database.sessions.begin() as session:
        return await parking.list_parked(session)


async def park(database: db.Database, messages: Sequence[Message]) -> list[Parked]:
    async with database.sessions.begin() as session:
        await parking.park(session, [(message, "no reader knew it") for message in messages])
    return await rows(database)


def purchase(number: int) -> Message:
    event = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "shop",
        "type": "crm.purchase.completed",
        "time": "2026-03-02T12:00:00Z",
        "data": {"customer": {"id": f"c{number}"}, "order": {"id": f"o{number}"}},
    }
    return Message("crm.events", f"c{number}", json.dumps(event).encode(), {}, f"crm.events/0/{number}")


async def decided(database: db.Database) -> list[str]:
    async with database.sessions.begin() as session:
        return [row["event_id"] for row in await db.fetch(session, "SELECT event_id FROM decisions ORDER BY 1")]


async def lag(urls: Mapping[str, str]) -> int:
    log = open_log(urls["transport"])
    try:
        return await log.lag("anybody", ["crm.events"])
    finally:
        await log.close()


async def test_replay_needs_no_log_for_the_one_they_came_from_may_be_a_cluster_of_others(
    urls: Mapping[str, str], trigger_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back on our log they were lost: `crm.events` is read from another."""
    await park(trigger_db, [purchase(1), purchase(2)])
    monkeypatch.setenv("EARSHOT_CRM_EVENTS_URL", "kafka://127.0.0.1:1")
    replayed = await earshot("replay", "trigger")
    assert (replayed.exit_code, replayed.stdout) == (0, "2 handled\n")
    assert await decided(trigger_db) == ["e1", "e2"]
    assert (await rows(trigger_db), await lag(urls)) == ([], 0)


async def test_message_in_a_form_of_others_is_read_by_its_source(
    trigger_db: db.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "erp.yaml").write_text("{id: erp, kind: kafka, topics: [erp.sales]}")
    monkeypatch.setenv("EARSHOT_SOURCES", str(tmp_path / "sources"))
    await park(trigger_db, [replace(purchase(1), headers={SOURCE_HEADER: "erp"}, position="erp.sales/0/4")])
    assert (await earshot("replay", "trigger")).exit_code == 0
    assert await decided(trigger_db) == ["e1"]


async def test_message_that_still_cannot_be_handled_stays_with_its_reason(trigger_db: db.Database) -> None:
    _, bad = await park(trigger_db, [purchase(1), replace(purchase(2), body=b"garbage")])
    replayed = await earshot("replay", "trigger")
    assert (replayed.exit_code, replayed.stdout.splitlines()[0]) == (1, "1 handled")
    assert replayed.stdout.splitlines()[1].startswith(f"{bad.id} stays parked: body: ")
    [kept] = await rows(trigger_db)
    assert (kept.id, kept.message, kept.reason.startswith("body: ")) == (bad.id, bad.message, True)


async def test_message_is_forgotten_only_together_with_what_it_did(trigger_db: db.Database) -> None:
    """The handler fails after it has begun: neither its work nor the message may be gone."""
    before = await park(trigger_db, [purchase(1)])
    async with trigger_db.sessions.begin() as session:
        await db.fetch(session, "ALTER TABLE outbox ADD CONSTRAINT nothing_leaves CHECK (false) NOT VALID")
        await db.fetch(session, "ALTER TABLE decisions ADD CONSTRAINT nothing_stays CHECK (false) NOT VALID")
    replayed = await earshot("replay", "trigger")
    assert replayed.exit_code == 1
    [kept] = await rows(trigger_db)
    assert (kept.message, kept.reason) == (before[0].message, "the handler failed: CheckViolationError")
    assert await decided(trigger_db) == []


async def test_named_one_is_found_however_many_are_older(
    trigger_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked_replay, "PAGE", 2)
    found = await park(trigger_db, [purchase(number) for number in range(5)])
    listed = (await earshot("list", "trigger", "--limit", "2")).stdout
    assert [line.split()[0] for line in listed.splitlines()] == [str(row.id) for row in found[:2]]
    assert (await earshot("replay", "trigger", "--id", str(found[4].id))).stdout == "1 handled\n"
    assert await rows(trigger_db) == found[:4]
    gone = await earshot("replay", "trigger", "--id", str(found[4].id))
    assert (gone.exit_code, gone.stdout) == (1, "0 handled\n1 of these ids are not parked\n")
    assert (await earshot("replay", "trigger")).stdout == "4 handled\n"
    assert await decided(trigger_db) == [f"e{number}" for number in range(5)]


@pytest.mark.parametrize("service", ["dispatcher", "scoring"])
async def test_each_service_handles_its_own(dispatcher_db: db.Database, scoring_db: db.Database, service: str) -> None:
    asked = codec.encode(cloudevents.new(request(), service=Service.TRIGGER, at=NOW))
    for database in (dispatcher_db, scoring_db):
        await park(database, [replace(asked, position="survey.requests/0/1")])
    assert (await earshot("replay", service)).stdout == "1 handled\n"
    own, other = (dispatcher_db, scoring_db) if service == "dispatcher" else (scoring_db, dispatcher_db)
    for database, invitations, left in ((own, 1, 0), (other, 0, 1)):
        async with database.sessions.begin() as session:
            assert len(await db.fetch(session, "SELECT FROM invitations")) == invitations
        assert len(await rows(database)) == left


async def test_topic_nobody_reads_is_named(trigger_db: db.Database) -> None:
    await park(trigger_db, [replace(purchase(1), topic="crm.old")])
    replayed = await earshot("replay", "trigger")
    assert (replayed.exit_code, "this service does not read its topic" in replayed.stdout) == (1, True)
    assert len(await rows(trigger_db)) == 1
