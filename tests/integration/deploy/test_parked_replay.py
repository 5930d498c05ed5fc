"""`earshot parked`: a message leaves the table only once the log has it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy import parked
from shared import db, parking
from shared.parking import Parked
from shared.transport import Message, TransportUnavailable, open_log
from shared.vocabulary import Service

MESSAGES = [Message("crm.events", f"k{n}", f"body {n}".encode(), {"a": "b"}, f"crm.events/0/{n}") for n in range(3)]


@pytest.fixture(autouse=True)
def _settings(urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_ENVIRONMENT", "production")  # where nothing may start a database of its own
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    monkeypatch.setenv("EARSHOT_EVENTS_URL", urls["transport"])


async def earshot(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, parked.app, [*words])


async def rows(database: db.Database) -> list[Parked]:
    async with database.sessions.begin() as session:
        return await parking.parked(session)


async def park(database: db.Database, messages: Sequence[Message] = MESSAGES) -> list[Parked]:
    async with database.sessions.begin() as session:
        await parking.park(session, [(message, "no reader knew it") for message in messages])
    return await rows(database)


async def lag(urls: Mapping[str, str]) -> int:
    log = open_log(urls["transport"])
    try:
        return await log.lag("anybody", ["crm.events"])
    finally:
        await log.close()


async def test_message_the_log_did_not_take_stays_parked(
    trigger_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await park(trigger_db)
    monkeypatch.setenv("EARSHOT_EVENTS_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    failed = await earshot("replay", "trigger")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, TransportUnavailable)
    assert await rows(trigger_db) == before


async def test_only_the_named_are_sent_again_and_each_as_it_came(
    urls: Mapping[str, str], trigger_db: db.Database
) -> None:
    first, second, third = await park(trigger_db)
    listed = (await earshot("list", "trigger", "--limit", "2")).stdout
    assert [line.split()[0] for line in listed.splitlines()] == [str(first.id), str(second.id)]
    sent = await earshot("replay", "trigger", "--id", str(second.id))
    assert (sent.exit_code, sent.stdout) == (0, "1 sent again\n")
    assert await rows(trigger_db) == [first, third]
    log = open_log(urls["transport"])
    async with asyncio.timeout(20), aclosing(log.read("anybody", ["crm.events"])) as batches:
        batch = await anext(batches)
    assert [(message.key, message.body, message.headers) for message in batch.messages] == [
        (second.message.key, second.message.body, second.message.headers)
    ]
    await log.close()


async def test_nothing_parked_is_nothing_to_send(urls: Mapping[str, str], dispatcher_db: db.Database) -> None:
    await park(dispatcher_db)
    sent = await earshot("replay", "scoring")
    assert (sent.exit_code, sent.stdout) == (0, "0 sent again\n")
    assert (len(await rows(dispatcher_db)), await lag(urls)) == (3, 0)
