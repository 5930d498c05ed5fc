"""What an open dashboard hears: changes of its own program, and a sign of life while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from fastapi.responses import StreamingResponse

from services.scoring.dashboard import live
from services.scoring.dashboard.live import Live
from shared.contract.events import ProgramRef
from shared.contract.vocabulary import Role
from shared.database import db, embedded
from shared.health import Health
from shared.web.problems import Unavailable
from shared.web.staff.tickets import Ticket, signed_in
from tests.contract.transport_stand import database_closed
from tests.integration.scoring.stand import Scoring

IS_LIVE = "event: state\ndata: live\n\n"


def stream(
    scoring: Scoring, program: str = "after-purchase", *, health: Health | None = None
) -> aclosing[AsyncGenerator[str, None]]:
    return aclosing(Live(scoring.database.sessions, asyncio.Event(), health or Health()).changes_of(program))


async def count_answer(scoring: Scoring, program: str) -> None:
    request = await scoring.asked(program=ProgramRef(id=program, version=1, title=program))
    await scoring.score(request, 9)
    await scoring.tick()


async def test_page_hears_of_its_own_program_and_of_no_other(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    async with asyncio.timeout(10), stream(scoring) as said:
        assert await anext(said) == "event: figures\ndata: 0\n\n"
        assert await anext(said) == IS_LIVE
        following = asyncio.ensure_future(anext(said))
        for _ in range(3):
            await count_answer(scoring, "another-program")
        assert not following.done()
        await count_answer(scoring, "after-purchase")
        numbers = {row["program"]: row["sequence"] for row in await scoring.rows("SELECT * FROM changes")}
        told = await following
        while told != f"event: figures\ndata: {numbers['after-purchase']}\n\n":  # it may change more than once
            told = await anext(said)
    assert numbers["another-program"] != numbers["after-purchase"]


async def test_stream_ends_when_a_ticket_would(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    monkeypatch.setattr(live, "LASTING", timedelta(seconds=0.05))
    async with asyncio.timeout(10), stream(scoring) as said:
        assert [each async for each in said] == ["event: figures\ndata: 0\n\n", IS_LIVE]


@pytest.mark.parametrize("revision", [None, 2])
async def test_stream_ends_when_the_person_has_changed(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch, revision: int | None
) -> None:
    held = Ticket(uuid4(), "Vera", frozenset([Role.MANAGER]), datetime.now(UTC), uuid4(), revision=1)

    async def current(ticket: Ticket) -> Ticket | None:
        return None if revision is None else replace(ticket, revision=revision)

    monkeypatch.setattr(live, "POLL_S", 0.01)
    monkeypatch.setattr(live, "STATE_S", 0.03)
    pages = Live(scoring.database.sessions, asyncio.Event(), current=current)
    reset = signed_in.set(held)
    try:
        async with asyncio.timeout(10), aclosing(pages.changes_of("after-purchase")) as said:
            assert [each async for each in said] == ["event: figures\ndata: 0\n\n", IS_LIVE]
    finally:
        signed_in.reset(reset)


async def test_page_hears_that_the_line_lives(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    monkeypatch.setattr(live, "STATE_S", 0.03)
    async with asyncio.timeout(10), stream(scoring) as said:
        assert [await anext(said) for _ in range(3)][1:] == [IS_LIVE] * 2


async def test_page_hears_that_the_database_does_not_answer_and_that_it_does_again(
    scoring: Scoring, postgres: embedded.Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    async with asyncio.timeout(20), stream(scoring) as said:
        assert [await anext(said) for _ in range(2)][1] == IS_LIVE
        async with database_closed(postgres.admin_url, scoring.database.url.database):
            assert await anext(said) == "event: state\ndata: not live: the database does not answer\n\n"
        assert await anext(said) == IS_LIVE


async def test_page_hears_that_a_query_hangs_and_leaves_the_pool_alone(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    monkeypatch.setattr(live, "TIMEOUT_S", 0.1)
    pages = Live(scoring.database.sessions, asyncio.Event())
    async with asyncio.timeout(20), aclosing(pages.changes_of("a")) as one, aclosing(pages.changes_of("b")) as two:
        async with scoring.database.sessions.begin() as session:
            await db.fetch(session, "LOCK TABLE changes")
            not_live = "event: state\ndata: not live: the database does not answer\n\n"
            assert [await anext(one), await anext(two)] == [not_live] * 2
            assert scoring.database.engine.pool.checkedout() == 2  # type: ignore[attr-defined]
        assert [await anext(one), await anext(one)] == ["event: figures\ndata: 0\n\n", IS_LIVE]


@pytest.mark.parametrize(("loop", "what"), [("publisher", "scores"), ("consumer", "events")])
async def test_page_hears_that_a_loop_holds_changes_up(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch, loop: str, what: str
) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    health = Health().for_service("scoring")
    heartbeat = health.heartbeat(loop)
    async with asyncio.timeout(10), stream(scoring, health=health) as said:
        assert [await anext(said) for _ in range(2)][1] == IS_LIVE
        heartbeat.beat(rest_s=-11)
        assert await anext(said) == f"event: state\ndata: not live: {what} are held up\n\n"
        heartbeat.beat(rest_s=3600)
        assert await anext(said) == IS_LIVE


async def test_streams_are_bounded_and_one_that_ends_makes_room(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 1)
    pages = Live(scoring.database.sessions, asyncio.Event())
    first = await pages.live()
    assert isinstance(first, StreamingResponse)
    stream = first.body_iterator
    assert isinstance(stream, AsyncGenerator)
    await anext(stream)
    with pytest.raises(Unavailable):
        await pages.live()
    await stream.aclose()
    assert (await pages.live()).status_code == 200
