"""Work is found because something tells of it, and not because a loop looks for it now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from deploy import all_in_one
from deploy.addresses import address
from deploy.all_settings import ALL, AllSettings
from deploy.ports import free_ports
from services.trigger.domain.programs.reading import read_program
from services.trigger.handlers.programs import apply_program
from shared import supervisor
from shared.contract.events import NpsUpdated
from shared.contract.vocabulary import Service
from shared.database.db import Database
from shared.messaging import codec, relay
from shared.messaging.relay_leadership import LockLeadership
from shared.messaging.transport import Message, open_log, postgres
from tests.journey.stage import link_in, purchase
from tests.staff import STAFF

PROGRAM = b"""
id: at-once
brand: {name: Shop}
starts_on: [crm.purchase.completed]
plan: [{channel: email, window: null}, {channel: email, after: 1s, window: null}]
"""
HOUR_S = 3600.0


@asynccontextmanager
async def running(urls: Mapping[str, str], folder: Path) -> AsyncIterator[AllSettings]:
    """Run all services by the machine's clock."""
    ports = {f"{service}_port": port for service, port in zip(ALL, free_ports(3), strict=True)}
    databases = {f"{service}_database_url": urls[service] for service in ALL}
    settings = AllSettings.for_demo(
        data_dir=folder, events_url=urls["transport"], scanner_reading_s=0, **ports, **databases
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(all_in_one.run(settings, stop, ready=lambda _urls: ready.set()))
        await ready.wait()
        try:
            yield settings
        finally:
            stop.set()


async def test_survey_goes_on_although_no_loop_looks_for_work_by_itself(
    urls: Mapping[str, str], trigger_db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "IDLE_S", HOUR_S)
    monkeypatch.setattr(postgres, "IDLE_S", HOUR_S)
    monkeypatch.setattr(relay, "IDLE_S", HOUR_S)
    monkeypatch.setattr(LockLeadership, "idle_s", HOUR_S)
    now = datetime.now(UTC)
    async with trigger_db.sessions.begin() as session:
        await apply_program(session, read_program(PROGRAM), now=now)
    log = open_log(urls["transport"])
    async with asyncio.timeout(60), running(urls, tmp_path) as settings, httpx2.AsyncClient(auth=STAFF) as web:
        await web.post(f"{address(settings, Service.TRIGGER)}/v1/events", json=[purchase(at=now)])
        mails = f"{address(settings, Service.DISPATCHER)}/v1/mailbox"
        while len(messages := (await web.get(mails)).json()["messages"]) < 2:  # the second is a step that became due
            continue
        await web.post(link_in(messages[0]), data={"score": "9"})
        async with aclosing(log.read("test", ["nps.updates"])) as batches:
            while not any(map(_counts_the_answer, (await anext(batches)).messages)):
                continue
    await log.close()


def _counts_the_answer(message: Message) -> bool:
    update = codec.parse(message).payload
    return isinstance(update, NpsUpdated) and update.n == 1
