"""The first start prints the link of the first administrator, until somebody has a password."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.people.first_link import tell_first_link
from shared.database.db import Database
from tests.integration.deploy.processes import earshot
from tests.staff import NOBODY

PASSWORD = "correct horse battery staple"


async def test_link_in_the_terminal_makes_one_administrator(urls: Mapping[str, str], tmp_path: Path) -> None:
    for number in range(2):  # nobody used the link of the first start
        folder = tmp_path / str(number)
        folder.mkdir()
        async with earshot(urls, folder) as running:
            await running.until_it_says("This link makes you the administrator, once:")
            await running.until_it_says("/join/")
            (path,) = re.findall(r"/join/\S+", running.log.read_text())
            if number:
                link = running.addresses["scoring"] + path
                form = {"password": PASSWORD, "again": PASSWORD}
                done = await running.web.post(link, data=form, auth=NOBODY)
                assert done.status_code == httpx2.codes.SEE_OTHER
    last = tmp_path / "last"
    last.mkdir()
    async with earshot(urls, last) as running:
        await running.until_it_says("API docs")
        await running.until_ready()
        assert "/join/" not in running.log.read_text()


class Away:
    """Sessions of a database that is away at first."""

    def __init__(self, database: Database, *, failures: int) -> None:
        self._database, self.failures = database, failures

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
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
