"""Fixtures: trigger with its built-in program, an HTTP client, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.main import build_app, install_programs
from shared.clock import ManualClock
from shared.database.db import Database
from shared.messaging.transport import EventLog, open_log
from tests.integration.trigger.samples import NOW
from tests.staff import STAFF


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def settings() -> TriggerSettings:
    return TriggerSettings(_env_file=None)


@pytest.fixture
async def event_log(urls: Mapping[str, str]) -> AsyncIterator[EventLog]:
    log = open_log(urls["transport"])
    yield log
    await log.close()


@pytest.fixture
async def installed(trigger_db: Database, clock: ManualClock) -> Database:
    await install_programs(trigger_db, clock)
    return trigger_db


@pytest.fixture
async def client(
    settings: TriggerSettings, installed: Database, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(build_app(settings, installed, clock))
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8001") as http:
        yield http
