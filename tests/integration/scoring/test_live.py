"""What an open dashboard hears: changes of its own program, and a sign of life while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.scoring import dashboard
from services.scoring.config import ScoringSettings
from services.scoring.dashboard import Dashboard
from shared.events import ProgramRef
from tests.integration.scoring.stand import Scoring


def stream(scoring: Scoring, program: str = "after-purchase") -> aclosing[AsyncGenerator[str, None]]:
    pages = ScoringSettings().staff_pages
    page = Dashboard(scoring.database.sessions, scoring.clock, pages, asyncio.Event())
    return aclosing(page.changes_of(program))


async def count_answer(scoring: Scoring, program: str) -> None:
    request = await scoring.asked(program=ProgramRef(id=program, version=1, title=program))
    await scoring.score(request, 9)
    await scoring.tick()


async def test_page_hears_of_its_own_program_and_of_no_other(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "LOOK_S", 0.01)
    async with asyncio.timeout(10), stream(scoring) as said:
        assert await anext(said) == "event: figures\ndata: 0\n\n"
        following = asyncio.ensure_future(anext(said))
        for _ in range(3):
            await count_answer(scoring, "another-program")
        assert not following.done()
        await count_answer(scoring, "after-purchase")
        told = await following
    numbers = {row["program"]: row["sequence"] for row in await scoring.rows("SELECT * FROM changes")}
    assert told == f"event: figures\ndata: {numbers['after-purchase']}\n\n"
    assert numbers["another-program"] != numbers["after-purchase"]


async def test_page_hears_that_the_line_lives(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "LOOK_S", 0.01)
    monkeypatch.setattr(dashboard, "SILENCE_S", 0.03)
    async with asyncio.timeout(10), stream(scoring) as said:
        assert [await anext(said) for _ in range(3)][1:] == [": still here\n\n"] * 2
