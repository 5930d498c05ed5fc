"""Loops rest for long where nothing is due, because whatever gives them work wakes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.clock import Clock, ManualClock, SystemClock
from shared.contract.vocabulary import Service
from shared.database.until_stopped import IDLE_S
from shared.runtime import ServiceContext
from shared.supervisor import Supervisor
from shared.wakeup import NotifyingRequests, Wakeup

STILL = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


async def answer(request: Request) -> Response:
    if request.query_params:
        raise ValueError("a fault")
    return Response()


@pytest.mark.parametrize(
    ("method", "path", "is_woken"),
    [
        ("POST", "/", True),
        ("DELETE", "/", True),
        ("POST", "/?fault=1", True),
        ("GET", "/", False),
        ("HEAD", "/", False),
    ],
)
async def test_request_that_may_write_wakes_the_loops(method: str, path: str, *, is_woken: bool) -> None:
    wakeup = Wakeup()
    woken = wakeup.listen()
    app = NotifyingRequests(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])]), wakeup=wakeup)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await http.request(method, path)
    assert woken.is_set() is is_woken


@pytest.mark.parametrize(
    ("clock", "tick_s", "longest_s"),
    [
        (SystemClock(), 0.1, IDLE_S),
        (SystemClock(), 30, 30),
        (STILL, 0.1, 0.1),
        (STILL, 30, 30),
    ],
)
async def test_loop_rests_for_long_only_where_business_time_is_machine_time(
    clock: Clock, tick_s: float, longest_s: float
) -> None:
    context = ServiceContext("", None, clock, asyncio.Event(), None)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(tasks, context, Service.DISPATCHER)
        pause = supervisor.until_woken(tick_s)
    assert pause.longest_s == longest_s
    assert pause.wake is not None
    supervisor.wakeup.notify()
    assert pause.wake.is_set()
