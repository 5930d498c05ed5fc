"""An upgrade under load: an earlier version alone, both on one database, the newer one alone, and a rollback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx2
import pytest

from deploy import databases
from deploy.demo import quiescence
from deploy.demo.simulated_people import LINK
from services.dispatcher import main as dispatcher
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.database.db import Database, fetch
from shared.messaging.transport import EventLog, Message, open_log
from tests import keys
from tests.journey.stage import MONDAY, purchase
from tests.staff import PROCESS_STAFF
from tests.upgrade import versions
from tests.upgrade.versions import RunningVersion, until

BEFORE, LOAD = 12, 60  # purchases
LAST = 5000  # the purchase after the rollback
INJECTED = (2, 10)  # messages of an unknown type, and as many with an unknown value: before the load, and under it
_PARKED_BY = 2  # services that read each topic


@dataclass(frozen=True, slots=True)
class UpgradeSetup:
    urls: Mapping[str, str]
    settings: Mapping[str, str]
    clock: StoredClock
    event_log: EventLog
    web: httpx2.AsyncClient

    async def rows(self, schema: str, sql: str) -> list[tuple[Any, ...]]:
        database = Database(self.urls[schema], schema=schema, pool_size=1)
        try:
            async with database.sessions.begin() as session:
                return [tuple(row) for row in await fetch(session, sql)]
        finally:
            await database.close()

    async def column(self, schema: str, sql: str) -> list[Any]:
        return [first for first, *_ in await self.rows(schema, sql)]

    async def parked(self) -> list[str]:
        return [reason for service in Service for reason in await self.column(service, "SELECT reason FROM parked")]

    async def has_closed(self, number: int) -> bool:
        closed = await self.column("dispatcher", "SELECT id FROM invitations WHERE state = 'closed'")
        return len(closed) == number

    async def nothing_parked(self) -> bool:
        return not await self.parked()

    async def until_read(self) -> None:
        """Wait until no group has unread messages; the older dispatcher does not read programs."""

        async def read() -> bool:
            wanted = {**quiescence.READ_TOPICS, Service.DISPATCHER: dispatcher.TOPICS}
            return not any([await self.event_log.lag(service.group, topics) for service, topics in wanted.items()])

        await until(read)

    async def until_mails(self, version: RunningVersion, number: int) -> list[str]:
        """Wait for so many mails, and return the link of each."""

        async def are_there() -> bool:
            return len(await self.links(version)) == number

        await until(are_there)
        return await self.links(version)

    async def until_quiescent(self) -> None:
        async with asyncio.timeout(60), quiescence.watch(self.urls, self.event_log, self.clock) as watch:
            await watch.until_quiescent()

    async def buy(self, version: RunningVersion, *events: Mapping[str, Any]) -> list[str]:
        answer = await self.web.post(f"{version.at(Service.TRIGGER)}/v1/events", json=list(events))
        return [result["reason"] for result in answer.raise_for_status().json()["results"]]

    async def answer(self, version: RunningVersion, link: str, score: int) -> None:
        path = urlsplit(link).path
        answer = await self.web.post(f"{version.at(Service.SCORING)}{path}", data={"score": str(score)})
        assert answer.status_code < httpx2.codes.BAD_REQUEST, answer.text

    async def links(self, version: RunningVersion) -> list[str]:
        """Find the link of each mail, oldest first."""
        answer = await self.web.get(f"{version.at(Service.DISPATCHER)}/v1/mailbox", params={"limit": 500})
        found = [LINK.search(message["text"]) for message in answer.raise_for_status().json()["messages"]]
        return [match.group() for match in found if match]

    async def inject(self, number: int) -> None:
        """Append messages with a type and with a value that only a later version knows."""
        await self.event_log.append(
            [message for _ in range(number) for message in (_of_unknown_type(), _of_unknown_value())]
        )


TICKETS = {"EARSHOT_TICKET_KEYS": keys.SETTINGS["ticket_keys"]}  # a setting that the version before refuses


def _of_unknown_type() -> Message:
    return _message("survey.requests", "survey.postponed")


def _of_unknown_value() -> Message:
    return _message("survey.deliveries", "respondent.suppressed", channel="email", reason="on_holiday")


def _message(topic: str, kind: str, **more: str) -> Message:
    payload = {"respondent_id": "nobody", "invitation_id": str(uuid4()), **more}
    attributes = {"specversion": "1.0", "id": str(uuid4()), "source": "earshot/later", "time": MONDAY.isoformat()}
    body = json.dumps({**attributes, "type": kind, "data": payload}).encode()
    return Message(topic, "nobody", body, {"content-type": "application/cloudevents+json"})


@pytest.fixture
async def setup(postgres: embedded.Embedded, tmp_path: Path) -> AsyncIterator[UpgradeSetup]:
    name = f"u{uuid4().hex[:12]}"
    await embedded.prepare(postgres, name)
    folder = parse_qs(urlsplit(postgres.admin_url).query)["host"][0]
    urls = {schema: f"postgresql://{schema}@/{name}?host={folder}" for schema in databases.MIGRATIONS}
    settings = {f"EARSHOT_{service.upper()}_DATABASE_URL": urls[service] for service in Service}
    settings["EARSHOT_LINK_KEYS"] = keys.SETTINGS["link_keys"]
    settings |= {"EARSHOT_DATABASE_URL": urls["transport"], "EARSHOT_CLOCK": str(tmp_path / "clock.json")}
    clock = StoredClock.create(tmp_path / "clock.json", start=MONDAY, speed=0)
    event_log = open_log(urls["transport"])
    async with httpx2.AsyncClient(auth=PROCESS_STAFF, timeout=30) as web:
        yield UpgradeSetup(urls, settings, clock, event_log, web)
    await event_log.close()


async def _with_data(setup: UpgradeSetup, older: RunningVersion) -> None:
    """Let the older version ask, remind, count answers, and leave some invitations open."""
    reasons = await setup.buy(older, *(purchase(number) for number in range(BEFORE)))
    assert reasons == ["asked"] * BEFORE
    links = await setup.until_mails(older, BEFORE)
    for score, link in enumerate(links[: BEFORE // 3]):
        await setup.answer(older, link, score)
    await until(lambda: setup.has_closed(BEFORE // 3))
    setup.clock.anchor(MONDAY + timedelta(days=4), speed=0)
    await setup.until_mails(older, BEFORE + BEFORE - BEFORE // 3)


async def _under_load(setup: UpgradeSetup, both: Sequence[RunningVersion], links: Sequence[str]) -> None:
    """Send every purchase to both versions at once, and answers alternately."""

    async def send(number: int) -> None:
        event = purchase(number, at=setup.clock.now())
        reasons = await asyncio.gather(*(setup.buy(version, event) for version in both))
        assert all(reason == ["asked"] for reason in reasons)

    async def answer(number: int, link: str) -> None:
        await setup.answer(both[number % len(both)], link, number % 11)

    async with asyncio.TaskGroup() as tasks:
        for number in range(LOAD):
            tasks.create_task(send(1000 + number))
        for number, link in enumerate(links):
            tasks.create_task(answer(number, link))
        tasks.create_task(setup.inject(INJECTED[1]))


async def _nothing_is_lost(setup: UpgradeSetup) -> None:
    decided = await setup.rows("trigger", "SELECT event_id, invitation_id FROM decisions")
    assert len(decided) == len({event for event, _ in decided}) == BEFORE + LOAD + 1
    asked = {invitation for _, invitation in decided}
    assert len(asked) == len(decided)
    for schema in ("dispatcher", "scoring"):
        table = "id FROM invitations"
        assert set(await setup.column(schema, f"SELECT {table}")) == asked
    sent = await setup.rows("dispatcher", "SELECT invitation_id, step FROM mailbox WHERE channel = 'email'")
    assert {invitation for invitation, _ in sent} == asked
    assert len(sent) == len(set(sent))


def test_an_earlier_version_runs_from_its_own_files(tmp_path: Path) -> None:
    """Its files may lie in other folders than today's; nothing of today's tree may be imported."""
    folder = versions.baseline(tmp_path)
    names = ("deploy.cli", *(f"services.{service}.main" for service in Service))
    program = f"import sys, {', '.join(names)}; print(*(sys.modules[name].__file__ for name in {names!r}))"
    files = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert files.stdout.split() == [f"{folder}/{name.replace('.', '/')}.py" for name in names]


async def test_both_versions_work_side_by_side_and_the_newer_takes_what_the_older_could_not(
    setup: UpgradeSetup, tmp_path: Path
) -> None:
    older_code = versions.baseline(tmp_path / "older")
    newer_code = versions.later(tmp_path / "newer")
    async with AsyncExitStack() as processes:
        older = await versions.start(older_code, setup.web, setup.settings)
        processes.push_async_callback(older.stop)
        await _with_data(setup, older)
        await databases.migrate({"transport": setup.urls["transport"]})  # the log of this test is the newer version's
        await setup.inject(INJECTED[0])
        await setup.until_read()
        assert len(await setup.parked()) == INJECTED[0] * 2 * _PARKED_BY

        assert "trigger: 0" in await versions.migrate(newer_code, setup.settings)
        newer = await versions.start(
            newer_code, setup.web, {**setup.settings, **TICKETS, "EARSHOT_MIGRATE_ON_START": "false"}
        )
        processes.push_async_callback(newer.stop)
        answered = (await setup.links(newer))[BEFORE // 3 : BEFORE]
        await _under_load(setup, (older, newer), answered)
        await setup.until_quiescent()
        assert await older.is_ready(setup.web)
        assert await newer.is_ready(setup.web)

        assert await older.stop() == 0
        assert await newer.stop() == 0
        newest = await versions.start(newer_code, setup.web, {**setup.settings, **TICKETS})
        processes.push_async_callback(newest.stop)
        await until(setup.nothing_parked)
        await setup.until_quiescent()
        assert await newest.stop() == 0

        taken_back = await versions.start(databases.ROOT, setup.web, {**setup.settings, **TICKETS})
        processes.push_async_callback(taken_back.stop)
        assert await setup.buy(taken_back, purchase(LAST, at=setup.clock.now())) == ["asked"]
        await setup.until_quiescent()
        assert await taken_back.stop() == 0
    await _nothing_is_lost(setup)
    assert len(await setup.column("scoring", "SELECT answer_id FROM answers")) == BEFORE
