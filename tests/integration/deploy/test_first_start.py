"""The first start prints the link of the first administrator, until somebody has a password."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from deploy import databases
from deploy.all_settings import ALL
from deploy.ports import free_ports
from services.scoring.people.first_link import tell_first_link
from shared.database.db import Database
from shared.database.session import Session
from tests.integration.deploy.processes import earshot
from tests.staff import NOBODY


async def run_in_terminal(urls: Mapping[str, str], folder: Path) -> str:
    """Run `earshot run` in a terminal until it has printed the link, and return its path."""
    ports = dict(zip(ALL, free_ports(3), strict=True))
    own = {
        **{f"{service}_database_url": urls[service] for service in ALL},
        **{f"{service}_port": str(port) for service, port in ports.items()},
        "events_url": urls["transport"],
        "data_dir": str(folder),
    }
    environment = {**os.environ, **{f"EARSHOT_{name.upper()}": value for name, value in own.items()}}
    terminal, side = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", "run"), cwd=databases.ROOT, env=environment, stdout=side, stderr=side
    )
    os.close(side)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(terminal, "rb")
    )
    async with asyncio.timeout(60):
        said = (await reader.readuntil(b"/join/")).decode()
        path = "/join/" + (await reader.readline()).decode().strip()
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert "This link makes you the administrator, once:" in said
    return path


async def test_link_in_the_terminal_makes_one_administrator(urls: Mapping[str, str], tmp_path: Path) -> None:
    first, second = [await run_in_terminal(urls, tmp_path) for _ in range(2)]
    assert first != second  # nobody can be shown the link of the start before
    async with earshot(urls, tmp_path) as running:
        await running.until_it_says("`earshot people reset admin` prints a link for the administrator.")
        assert "/join/" not in running.log.read_text()  # a log is kept, and the link is a secret
        await running.until_ready()
        given = await running.web.get(running.addresses["scoring"] + second, auth=NOBODY)
        assert given.status_code == httpx2.codes.GONE  # the third start has made another


class Away:
    """Sessions of a database that is away at first."""

    def __init__(self, database: Database, *, failures: int) -> None:
        self._database, self.failures = database, failures

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Session]:
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError
        async with self._database.sessions.begin() as session:
            yield session


async def test_start_waits_for_a_database_that_is_away(scoring_db: Database) -> None:
    told: list[str] = []
    sessions = Away(scoring_db, failures=2)
    async with asyncio.timeout(20):
        await tell_first_link(sessions, told.append, origin="http://x", stop=asyncio.Event())  # type: ignore[arg-type]
    assert sessions.failures == 0
    assert [link.partition("/join/")[0] for link in told] == ["http://x"]


async def test_start_that_is_stopped_meanwhile_ends(scoring_db: Database) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(
        tell_first_link(Away(scoring_db, failures=10**6), print, origin="http://x", stop=stop)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await waiting
