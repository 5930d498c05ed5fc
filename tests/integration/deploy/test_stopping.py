"""A process that is told to stop ends within 15 seconds, whatever does not answer; it says the truth until then."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.database import embedded
from tests.integration.deploy.processes import Earshot, black_hole, database_of_its_own, earshot, hang_commits

WITHIN_S = 15.0
EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "shop",
    "type": "crm.purchase.completed",
    "time": "2026-03-01T12:00:00Z",
    "data": {"customer": {"id": "c1", "email": "anna@example.com"}, "order": {"id": "o1"}},
}


@pytest.fixture
async def hanging(postgres: embedded.Embedded, urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Earshot]:
    """Earshot, ready a moment ago, on a database that hangs in each COMMIT and is given up by nobody."""
    for_ever = {"database_command_s": "600", "database_statement_s": "600"}
    async with database_of_its_own(postgres, urls), earshot(urls, tmp_path, **for_ever) as running:
        await running.until_ready()
        await hang_commits(postgres)
        yield running


async def test_process_that_is_well_says_so_and_ends_in_order(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with earshot(urls, tmp_path) as running:
        await running.until_ready()
        paths = ("/healthz", "/livez", "/readyz")
        for service in running.addresses:
            assert [await running.status(path, service=service) for path in paths] == [200, 200, 200]
        assert await running.told_to_stop() < WITHIN_S
        assert running.process.returncode == 0, running.log.read_text()


async def test_database_that_hangs_is_told_and_ends_nobodys_life(hanging: Earshot) -> None:
    await hanging.until_ready(503)
    problems = await hanging.problems()
    for service in hanging.addresses:
        assert problems[f"{service}.database"] == "does not commit within 3 s"
    assert [await hanging.status(path) for path in ("/healthz", "/livez")] == [200, 200]


async def test_database_that_hangs_holds_no_request_and_no_stop(hanging: Earshot) -> None:
    began = time.monotonic()
    told = await hanging.web.post(hanging.addresses["trigger"] + "/v1/events", json=EVENT)
    assert (told.status_code, time.monotonic() - began < 30) == (503, True)
    assert await hanging.told_to_stop() < WITHIN_S
    is_late = "stop.late" in hanging.log.read_text()  # the statement that hangs may reach its own limit first
    assert hanging.process.returncode == int(is_late)


async def test_second_signal_ends_at_once(hanging: Earshot) -> None:
    hanging.process.send_signal(signal.SIGTERM)
    await hanging.until_it_listens_no_more()
    assert hanging.process.returncode is None
    assert await hanging.told_to_stop() < 2
    assert hanging.process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("away", ["events_url", "scoring_database_url"])
async def test_what_takes_connections_and_never_answers_holds_no_stop(
    away: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with black_hole() as port:
        url: dict[str, Any] = {away: f"postgresql://nobody@127.0.0.1:{port}/nothing"}
        async with earshot(urls, tmp_path, **url) as running:
            says = f'"servers": "127.0.0.1:{port}", "error": "TimeoutError"' if away == "scoring_database_url" else ""
            await running.until_it_says(says)
            assert await running.told_to_stop() < WITHIN_S
            assert running.process.returncode != 0


async def test_event_log_that_is_away_is_named_and_holds_no_stop(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with earshot(urls, tmp_path, events_url="kafka://127.0.0.1:9") as running:
        await running.until_ready(503)
        async with asyncio.timeout(30):
            while not {f"{service}.event log" for service in running.addresses} <= set(await running.problems()):
                continue
        assert await running.status("/livez") == 200
        assert await running.told_to_stop() < WITHIN_S
