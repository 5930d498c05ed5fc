"""The whole service: consumers, start and stop, tables and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import yaml
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from deploy.cli import app
from services.trigger import main
from services.trigger.config import TriggerSettings
from shared import database_url, migrations
from shared.clock import ManualClock
from shared.contract.events import Payload, SurveyRequested
from shared.database import db, embedded
from shared.database.db import Database
from shared.messaging import codec, parking
from shared.messaging.transport import EventLog, Message, open_log
from shared.runtime import ServiceContext, listen
from tests.contract.transport_stand import database_closed
from tests.integration.trigger.samples import count, message, purchase
from tests.staff import STAFF


@asynccontextmanager
async def running(
    settings: TriggerSettings, urls: Mapping[str, str], event_log: EventLog, clock: ManualClock
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    listener = listen("127.0.0.1", 0, setting="EARSHOT_TRIGGER_PORT")
    service = asyncio.create_task(main.run(settings, ServiceContext(urls["trigger"], event_log, clock, stop, listener)))
    try:
        yield
    finally:
        stop.set()
        await service


async def first_request(event_log: EventLog) -> Payload:
    async with aclosing(event_log.read("test", ["survey.requests"])) as batches:
        async for batch in batches:
            return codec.parse(batch.messages[0]).payload
    raise AssertionError("unreachable")


async def test_event_in_the_log_becomes_a_request_in_the_log(
    settings: TriggerSettings,
    urls: Mapping[str, str],
    trigger_db: Database,
    event_log: EventLog,
    clock: ManualClock,
) -> None:
    unknown = {**purchase("e0"), "type": "survey.answered"}
    garbage = Message("crm.events", "", b"garbage")
    reused = message(purchase("e1", order="another"))
    labels = {"service": "trigger", "type": "crm.purchase.completed", "result": "conflict"}
    before = REGISTRY.get_sample_value("earshot_events_total", labels) or 0.0
    await event_log.append([message(unknown), garbage, message(purchase("e1")), reused])
    async with asyncio.timeout(30), running(settings, urls, event_log, clock):
        request = await first_request(event_log)
    assert isinstance(request, SurveyRequested)
    assert request.event.id == "e1"
    async with trigger_db.sessions() as session:
        assert len(await parking.list_parked(session)) == 2
    assert REGISTRY.get_sample_value("earshot_events_total", labels) == before + 1
    assert await count(trigger_db, "decisions") == 1


async def test_two_processes_share_the_work_and_install_one_program(
    settings: TriggerSettings, urls: Mapping[str, str], trigger_db: Database, clock: ManualClock
) -> None:
    logs = [open_log(urls["transport"]) for _ in range(2)]
    async with asyncio.timeout(30):
        async with running(settings, urls, logs[0], clock), running(settings, urls, logs[1], clock):
            await logs[0].append([message(purchase("e1"))])
            await first_request(logs[1])
    for log in logs:
        await log.close()
    assert await count(trigger_db, "programs") == 1
    assert await count(trigger_db, "decisions") == 1


async def test_crm_events_may_come_from_another_log(
    urls: Mapping[str, str], event_log: EventLog, clock: ManualClock
) -> None:
    settings = TriggerSettings(_env_file=None, crm_events_url=urls["transport"], topic_prefix="crm-")
    crm_log = open_log(urls["transport"], topic_prefix="crm-")
    await crm_log.append([message(purchase("e1"))])
    async with asyncio.timeout(30), running(settings, urls, event_log, clock):
        request = await first_request(event_log)
    await crm_log.close()
    assert isinstance(request, SurveyRequested)


async def test_migration_makes_the_tables_of_the_models(trigger_db: Database) -> None:
    folder = Path(main.__file__).parent / "migrations"
    await migrations.round_trip(trigger_db, folder)
    async with trigger_db.sessions() as session:
        assert await db.fetch(session, "SELECT version_num FROM alembic_version")


DOCUMENT = "id: shop\ntitle: Our shop\nbrand: {name: Shop}\nstarts_on: [crm.purchase.completed]\n"


async def test_programs_are_applied_listed_and_shown_from_the_command_line(
    urls: Mapping[str, str], trigger_db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", urls["trigger"])
    (tmp_path / "shop.yaml").write_text(DOCUMENT)

    async def earshot(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["programs", *words])
        return f"{result.exit_code} {result.output}"

    assert "shop version 1\n" in await earshot("apply", str(tmp_path))
    assert "shop version 1, unchanged" in await earshot("apply", str(tmp_path / "shop.yaml"))
    (tmp_path / "shop.yaml").write_text(DOCUMENT + "quarantine: 30d\ncaps: [{name: rest, days: 20}]\n")
    difference = await earshot("diff", str(tmp_path))
    assert {"-quarantine: 90d", "+quarantine: 30d", "+- name: rest"} <= set(difference.splitlines())
    assert "caps.0: has no effect, quarantine is 30 days" in await earshot("lint", str(tmp_path))
    (tmp_path / "shop.yaml").write_text(DOCUMENT)
    assert "unchanged" in await earshot("diff", str(tmp_path))
    assert "shop\tversion 1\tpriority 0\tOur shop" in await earshot("list")
    assert yaml.safe_load((await earshot("show", "shop")).removeprefix("0 "))["quarantine"] == "90d"
    assert (await earshot("show", "none")).startswith("2 ")
    (tmp_path / "wrong.yaml").write_text(DOCUMENT + "delay: soon\n")
    assert "wrong.yaml: line 5: delay: expected a number and a unit" in await earshot("apply", str(tmp_path))
    assert await count(trigger_db, "programs") == 1
    assert await earshot("off", "shop") == "0 shop version 1 is off\n"
    assert "priority 0 (off)" in await earshot("list")
    assert await earshot("on", "shop") == "0 shop version 1 is on\n"
    assert await earshot("on", "shop") == "0 nothing changed\n"
    assert await earshot("stop", "--all") == "0 shop version 1 is stopped\n"
    assert await earshot("stop", "shop", "--withdraw") == "0 shop version 1 is withdrawn\n"
    assert await earshot("on", "shop") == "0 shop version 1 is stopped\n"
    assert await earshot("on", "--all") == "0 shop version 1 is on\n"
    assert (await earshot("off", "none")).startswith("2 ")
    assert (await earshot("stop")).startswith("2 ")
    assert (await earshot("stop", "shop", "--all")).startswith("2 ")
    (tmp_path / "shop.yaml").write_text(DOCUMENT + "active: false\n")
    assert "shop version 2\n" in await earshot("apply", str(tmp_path / "shop.yaml"))
    assert "priority 0 (not active)" in await earshot("list")
    assert await earshot("on", "shop") == "0 shop version 3 is on\n"


async def test_start_waits_for_a_database_that_is_gone(
    settings: TriggerSettings,
    urls: Mapping[str, str],
    postgres: embedded.Embedded,
    event_log: EventLog,
    clock: ManualClock,
) -> None:
    name = database_url.parse(urls["trigger"]).database
    stop, listener = asyncio.Event(), listen("127.0.0.1", 0, setting="EARSHOT_TRIGGER_PORT")
    async with database_closed(postgres.admin_url, name):
        around = ServiceContext(urls["trigger"], event_log, clock, stop, listener)
        service = asyncio.create_task(main.run(settings, around))
        await asyncio.wait((service,), timeout=1)
        assert not service.done()
    async with httpx2.AsyncClient(auth=STAFF, timeout=30) as web:
        programs = await web.get(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/programs")
    stop.set()
    await service
    assert "after-purchase" in programs.text
