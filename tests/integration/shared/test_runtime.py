"""The HTTP server of every process: the client's address is that of its connection, whatever its headers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from shared import runtime
from shared.clock import SystemClock
from shared.contract.vocabulary import Service
from shared.health import Health
from shared.runtime import ServiceContext
from shared.serving import serve
from shared.web.staff.gate import Gate
from tests.staff import ACCESS


async def who_asks(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    assert request.client is not None
    await JSONResponse([request.client.host, request.url.scheme, request.url.hostname])(scope, receive, send)


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[str]:
    stop, log = asyncio.Event(), None
    listener, outside = (runtime.listen("127.0.0.1", 0, setting="A_PORT") for _ in range(2))
    here = ServiceContext("", log, SystemClock(), stop, listener, outside)  # type: ignore[arg-type]
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(Gate(who_asks, service=Service.DISPATCHER, **options), here, service=Service.DISPATCHER)
        )
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()


@pytest.mark.parametrize("path", ["/u", "/u/page"])
async def test_headers_of_a_proxy_change_nothing_about_who_asks(path: str) -> None:
    """The address that rate limits and the gate use must not come from a header of the client."""
    said = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;proto=https",
    }
    async with served(access=ACCESS) as url, httpx2.AsyncClient() as asking:
        assert (await asking.get(url + path, headers=said)).json() == ["127.0.0.1", "http", "127.0.0.1"]


async def test_process_is_not_ready_while_a_service_of_it_has_not_started() -> None:
    health, stop = Health(), asyncio.Event()
    contexts = []
    for name in ("trigger", "scoring"):
        with runtime.listen("127.0.0.1", 0, setting="A_PORT") as listener:
            own = health.for_service(name)
            contexts.append(ServiceContext("", None, SystemClock(), stop, listener, health=own))  # type: ignore[arg-type]
            own.require("start", contexts[-1].has_started)
    contexts[0].started.set()
    assert await health.problems() == {"scoring.start": "has not started yet"}
    contexts[1].started.set()
    assert await health.problems() == {}
