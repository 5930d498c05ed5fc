"""A task of a service that ends unseen ends the process; a provider that is stuck holds no stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy import all_in_one
from deploy.all_settings import AllSettings
from services.dispatcher import main as dispatcher
from services.dispatcher.config import DispatcherSettings
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.database.db import Database, fetch
from shared.database.until_stopped import EndedUnexpectedly
from shared.health import Health
from shared.messaging import codec
from shared.messaging.transport import Batch, EventLog, open_log
from shared.runtime import ServiceContext
from tests.integration.deploy.processes import black_hole
from tests.integration.dispatcher.conftest import NOW, request

SETTINGS = AllSettings.for_demo()


@asynccontextmanager
async def surroundings(url: str, event_log: EventLog, stop: asyncio.Event) -> AsyncIterator[ServiceContext]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield ServiceContext(url, event_log, ManualClock(NOW), stop, listener, health=Health())


class Ending:
    """A log whose readers end: they return, or something inside them is cancelled, as aiokafka's close did."""

    def __init__(self, inner: EventLog, *, cancelled: bool) -> None:
        self._inner, self._cancelled = inner, cancelled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, *_: object, **__: object) -> AsyncGenerator[Batch, None]:
        if self._cancelled:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return
        yield


@pytest.mark.parametrize("cancelled", [False, True], ids=["returns", "is cancelled inside"])
@pytest.mark.parametrize("service", Service)
async def test_consumer_that_ends_unseen_ends_the_process(
    service: Service, urls: Mapping[str, str], *, cancelled: bool
) -> None:
    inner, before = open_log(urls["transport"]), asyncio.all_tasks()
    run: Callable[..., Any] = all_in_one._RUN[service]
    async with surroundings(urls[service], Ending(inner, cancelled=cancelled), asyncio.Event()) as around:
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(20):
                await run(getattr(SETTINGS, service), around)
    await inner.close()
    assert asyncio.all_tasks() - before == set(), "a server left behind keeps its socket"
    ended = caught.value.exceptions
    assert ended
    assert all(isinstance(error, EndedUnexpectedly) and f"{service}.consumer" in str(error) for error in ended)


async def test_provider_that_is_stuck_holds_no_stop(
    urls: Mapping[str, str], dispatcher_db: Database, tmp_path: Path
) -> None:
    event_log, stop = open_log(urls["transport"]), asyncio.Event()
    asked = request()
    await event_log.append([codec.encode(cloudevents.new(asked, service=Service.TRIGGER, at=NOW))])
    async with black_hole() as port, surroundings(urls["dispatcher"], event_log, stop) as around:
        smtp_url = f"smtp://127.0.0.1:{port}"
        given = {"data_dir": tmp_path, "send": "live", "smtp_url": smtp_url, "link_keys": f"{asked.link_key}:secret"}
        given["public_url"] = "http://127.0.0.1:1"
        settings = DispatcherSettings.model_validate(given)
        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            tasks.create_task(dispatcher.run(settings, around))
            while await states(dispatcher_db) != ["in_flight"]:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.05)
            began = time.monotonic()
            stop.set()
        assert time.monotonic() - began < 12
    await event_log.close()
    assert await states(dispatcher_db) == ["planned"]  # nothing was accepted: it may be tried again


async def states(database: Database) -> list[str]:
    async with database.sessions.begin() as session:
        return [
            *("planned" for _ in await fetch(session, "SELECT FROM due WHERE step = 1")),
            *("in_flight" for _ in await fetch(session, "SELECT FROM held WHERE step = 1 AND in_flight")),
            *(row["state"] for row in await fetch(session, "SELECT state FROM attempts WHERE step = 1")),
        ]
