"""`make demo` as a person runs it: it shows something, stops at once, and continues with the same data."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import pytest

from deploy import databases
from deploy.demo import shop
from deploy.ports import free_ports
from shared.clock import StoredClock
from shared.contract.events import Window
from tests.journey.stage import purchase
from tests.staff import STAFF

STOPS_WITHIN_S = 10


class Demo:
    def __init__(self, process: asyncio.subprocess.Process, *, trigger: int, dispatcher: int) -> None:
        self._process = process
        self.trigger, self.dispatcher = (f"http://127.0.0.1:{port}" for port in (trigger, dispatcher))
        self.output = ""

    async def reads(self, pattern: str) -> str:
        """Read the output up to a line that matches, and return it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while line := (await self._process.stdout.readline()).decode():
                self.output += line
                if re.search(pattern, line):
                    return line
        raise AssertionError(f"ended without printing {pattern!r}: {self.output[-2000:]}")

    async def stop(self) -> int:
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOPS_WITHIN_S):
            self.output += (await self._process.stdout.read()).decode()
            return await self._process.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, for sockets; pytest's may be closed to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="es-", dir="/tmp", ignore_cleanup_errors=True) as path:
        yield Path(path)


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[Demo]:
    scoring, trigger, dispatcher = free_ports(3)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "deploy.cli", "demo"),
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(databases.ROOT),
            "NO_COLOR": "1",
            "EARSHOT_SCORING_PORT": str(scoring),
            "EARSHOT_TRIGGER_PORT": str(trigger),
            "EARSHOT_DISPATCHER_PORT": str(dispatcher),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Demo(process, trigger=trigger, dispatcher=dispatcher)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def answers_in(line: str) -> int:
    found = re.search(r"([\d,]+) answers? in all", line)
    assert found is not None
    return int(found[1].replace(",", ""))


async def test_demo_moves_the_score_stops_at_once_and_goes_on(folder: Path) -> None:
    async with demo(folder) as first:
        before = answers_in(await first.reads(r"[1-9][\d,]* repeats?.*answers? in all"))
        assert await first.stop() == 0
    async with demo(folder) as second:
        await second.reads("Dashboard")
        assert await second.stop() == 0
    async with demo(folder) as third:
        assert answers_in(await third.reads("answers? in all")) >= before
        assert await third.stop() == 0
    for run in (first, second, third):
        assert "Stopped." in run.output
        assert "Traceback" not in run.output


async def test_demo_leaves_the_mail_of_whoever_tries_it_to_them(folder: Path) -> None:
    """A purchase like the README's while the sample shop sells: the simulated people do not answer for Olga."""
    async with demo(folder) as running, httpx2.AsyncClient(auth=STAFF) as web:
        await running.reads("answers? in all")
        now = StoredClock(folder / ".data/demo/clock.json").now()
        event = purchase(at=now, id="c-1", email="olga@example.com", phone=None)
        assert (await web.post(f"{running.trigger}/v1/events", json=event)).status_code == 202
        invitations = f"{running.dispatcher}/v1/invitations"
        while not (asked := (await web.get(invitations, params={"customer": "c-1"})).json()["invitations"]):
            await running.reads("sold")
        while (history := (await web.get(f"{invitations}/{asked[0]['id']}")).json())["steps"][1]["state"] == "waiting":
            await running.reads("sold")
        assert await running.stop() == 0
    assert history["steps"][0]["state"] == "sent"
    assert history["state"] == "open"
    assert "Traceback" not in running.output


async def test_killed_demo_starts_again_and_leaves_no_postgres_behind(folder: Path) -> None:
    async with demo(folder) as killed:
        await killed.reads("answers? in all")
    async with demo(folder) as again:
        await again.reads("answers? in all")
        assert await again.stop() == 0
    assert not (folder / ".data/demo/postgres/postmaster.pid").exists()


@pytest.mark.parametrize(("active", "applied"), [(True, 1), (False, 0)])
async def test_demo_lets_a_program_that_was_switched_off_rest(tmp_path: Path, *, active: bool, applied: int) -> None:
    put: list[httpx2.Request] = []

    def trigger(request: httpx2.Request) -> httpx2.Response:
        if request.method == "PUT":
            put.append(request)
        known = {"id": shop.PROGRAM["id"], "document": {"active": active}}
        return httpx2.Response(200, json={"programs": [known]})

    clock = StoredClock.create(tmp_path / "clock.json", start=datetime(2026, 3, 1, tzinfo=UTC), speed=0)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(trigger)) as web:
        await shop.Shop(web, "http://127.0.0.1:8001", clock).apply_program()
    assert len(put) == applied


async def test_demo_arrives_at_now(tmp_path: Path) -> None:
    clock = StoredClock.create(tmp_path / "clock.json", start=datetime.now(UTC) - timedelta(days=2), speed=0)
    async with asyncio.timeout(60):
        await shop.catch_up(clock, asyncio.Event())
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(seconds=5)


@pytest.mark.parametrize("month", [1, 7])
def test_somebody_of_the_demo_may_be_called_at_any_hour(month: int) -> None:
    hours = Window()
    for hour in range(24):
        now = datetime(2026, month, 14, hour, 30, tzinfo=UTC)
        assert any(hours.start <= now.astimezone(ZoneInfo(zone)).time() < hours.end for zone in shop.ZONES), hour
