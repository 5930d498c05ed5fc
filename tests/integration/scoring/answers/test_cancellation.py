"""Requests cancelled at every await: what was acknowledged is stored, and other requests are not affected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.scoring.answer_page.page_views import PageViewWriter
from services.scoring.answers.record import Recorded
from services.scoring.config import ScoringSettings
from services.scoring.dashboard.live import Live
from services.scoring.domain.bot_detection import PageView
from services.scoring.jobs import publish_scores
from services.scoring.main import build_app
from shared.database.db import Database
from tests.cancellation import cancelled_at_every_turn
from tests.integration.scoring.stand import NOW, Scoring, call_for, link_of, requested
from tests.staff import STAFF

MOST = 400  # awaits of any of these


@pytest.fixture
async def tried(urls: Mapping[str, str]) -> AsyncIterator[Scoring]:
    """The service whose calls are cancelled, with few connections; `scoring` observes the database."""
    database = Database(urls["scoring"], schema="scoring", pool_size=2)
    yield Scoring(database)
    await database.close()


@pytest.fixture
async def leaving(tried: Scoring) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose requests are cancelled."""
    settings = ScoringSettings(answer_client_burst=100_000)
    app = build_app(settings, database=tried.database, clock=tried.clock)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
async def asked(scoring: Scoring) -> list[UUID]:
    """One invitation for each cancelled call."""
    requests = [requested() for _ in range(MOST)]
    await scoring.receive(*requests)
    return [request.invitation_id for request in requests]


@pytest.fixture
async def tasks(scoring: Scoring) -> list[UUID]:
    """One call task for each cancelled call."""
    requests = [requested() for _ in range(MOST)]
    calls = [call_for(request) for request in requests]
    await scoring.receive(*requests)
    await scoring.receive(*calls)
    return [call.task_id for call in calls]


async def _score(scoring: Scoring, invitation_id: UUID) -> int | None:
    answer = (await scoring.invitation(invitation_id)).answer
    return answer.score if answer else None


async def test_answer_that_was_recorded_is_stored(tried: Scoring, scoring: Scoring, asked: list[UUID]) -> None:
    async def kept(turn: int, result: object) -> None:
        assert isinstance(result, Recorded)
        assert await _score(scoring, asked[turn]) == 9

    await cancelled_at_every_turn(lambda turn: tried.say(asked[turn], 9), database=tried.database, kept=kept)


async def test_answers_of_the_same_batch_are_stored_when_one_request_is_cancelled(
    tried: Scoring, scoring: Scoring, asked: list[UUID]
) -> None:
    beside: dict[int, asyncio.Task[Any]] = {}

    async def work(turn: int) -> None:
        beside[turn] = asyncio.create_task(tried.say(asked[-1 - turn], 3))
        await tried.say(asked[turn], 9)

    async def kept(turn: int, _: None) -> None:
        assert await _score(scoring, asked[turn]) == 9

    turns = await cancelled_at_every_turn(work, database=tried.database, kept=kept)
    assert len(beside) >= turns
    for turn, other in beside.items():
        assert isinstance(other.result(), Recorded)
        assert await _score(scoring, asked[-1 - turn]) == 3


async def test_answer_that_got_its_response_is_stored(
    tried: Scoring, scoring: Scoring, leaving: httpx2.AsyncClient, asked: list[UUID]
) -> None:
    async def kept(turn: int, response: httpx2.Response) -> None:
        assert response.status_code == 303
        assert await _score(scoring, asked[turn]) == 9

    await cancelled_at_every_turn(
        lambda turn: leaving.post(link_of(asked[turn]), data={"score": "9"}), database=tried.database, kept=kept
    )


async def test_page_view_that_got_its_response_is_stored(
    tried: Scoring, scoring: Scoring, leaving: httpx2.AsyncClient, asked: list[UUID]
) -> None:
    async def kept(turn: int, response: httpx2.Response) -> None:
        assert response.status_code == 200
        assert await scoring.rows("SELECT 1 FROM page_views WHERE invitation_id = $1", asked[turn])

    await cancelled_at_every_turn(lambda turn: leaving.get(link_of(asked[turn])), database=tried.database, kept=kept)


async def test_page_views_of_the_same_batch_are_stored_when_one_request_is_cancelled(
    tried: Scoring, scoring: Scoring, asked: list[UUID]
) -> None:
    views, view = PageViewWriter(tried.database.sessions), PageView(1, "GET", None, automatic=False, at=NOW)
    beside: dict[int, asyncio.Task[None]] = {}

    async def work(turn: int) -> None:
        beside[turn] = asyncio.create_task(views.add(asked[-1 - turn], view))
        await views.add(asked[turn], view)

    async def kept(turn: int, _: None) -> None:
        assert await scoring.rows("SELECT 1 FROM page_views WHERE invitation_id = $1", asked[turn])

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)
    for turn, other in beside.items():
        assert other.result() is None
        assert await scoring.rows("SELECT 1 FROM page_views WHERE invitation_id = $1", asked[-1 - turn])


async def test_page_views_lost_with_a_connection_raise_no_error(tried: Scoring, asked: list[UUID]) -> None:
    views, view = PageViewWriter(tried.database.sessions), PageView(1, "GET", None, automatic=False, at=NOW)
    await tried.rows("ALTER TABLE page_views RENAME TO elsewhere")
    await tried.rows("CREATE VIEW page_views AS SELECT * FROM elsewhere")
    await tried.rows(
        "CREATE RULE lost AS ON INSERT TO page_views DO INSTEAD SELECT pg_terminate_backend(pg_backend_pid())"
    )
    await views.add(asked[0], view)
    assert await tried.rows("SELECT 1 FROM elsewhere") == []


async def test_taken_call_is_leased(
    tried: Scoring, scoring: Scoring, leaving: httpx2.AsyncClient, tasks: list[UUID]
) -> None:
    def work(turn: int) -> Coroutine[Any, Any, httpx2.Response]:
        return leaving.post("/v1/desk/take", json={"operator": f"Operator {turn}"})

    async def kept(turn: int, response: httpx2.Response) -> None:
        task_id = UUID(response.json()["task_id"])
        assert task_id in tasks
        [held] = await scoring.rows("SELECT leased_by FROM call_tasks WHERE task_id = $1", task_id)
        assert held["leased_by"] == f"Operator {turn}"

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_reported_outcome_is_stored(
    tried: Scoring, scoring: Scoring, leaving: httpx2.AsyncClient, tasks: list[UUID]
) -> None:
    await scoring.rows("UPDATE call_tasks SET leased_by = 'Anna', lease_until = clock_timestamp() + interval '1 day'")

    def work(turn: int) -> Coroutine[Any, Any, httpx2.Response]:
        said = {"operator": "Anna", "disposition": "refused"}
        return leaving.post(f"/v1/desk/{tasks[turn]}/outcome", json=said)

    async def kept(turn: int, response: httpx2.Response) -> None:
        assert response.status_code == 200
        assert await scoring.rows("SELECT 1 FROM call_attempts WHERE task_id = $1", tasks[turn])

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_answer_that_an_operator_saved_is_stored(
    tried: Scoring, scoring: Scoring, leaving: httpx2.AsyncClient, tasks: list[UUID]
) -> None:
    await scoring.rows("UPDATE call_tasks SET leased_by = 'Anna', lease_until = clock_timestamp() + interval '1 day'")
    leaving.cookies.set("operator", "Anna")

    def work(turn: int) -> Coroutine[Any, Any, httpx2.Response]:
        return leaving.post(f"/desk/{tasks[turn]}/answer", data={"score": "4"})

    async def kept(turn: int, response: httpx2.Response) -> None:
        assert response.headers["location"] == f"/desk?said=answered&task={tasks[turn]}"
        [task] = await scoring.rows("SELECT invitation_id FROM call_tasks WHERE task_id = $1", tasks[turn])
        assert await _score(scoring, task["invitation_id"]) == 4

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_figures_that_were_published_are_in_the_outbox(
    tried: Scoring, scoring: Scoring, asked: list[UUID]
) -> None:
    await scoring.score(requested(invitation_id=asked[0]), 9)

    async def work(_: int) -> int:
        async with tried.database.sessions.begin() as session:
            return await publish_scores.publish_changes(session, now=NOW)

    async def kept(turn: int, published: int) -> None:
        [stored] = await scoring.rows("SELECT count(*) FROM outbox WHERE topic = 'nps.updates'")
        assert stored["count"] >= published
        await scoring.score(requested(invitation_id=asked[1 + turn]), 9)  # something to publish next

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)
    await tried.tick()
    [left] = await scoring.rows("SELECT count(*) FROM buckets WHERE published_revision < revision")
    assert left["count"] == 0


async def test_events_that_were_handled_are_stored(tried: Scoring, scoring: Scoring) -> None:
    requests = [requested() for _ in range(MOST)]

    async def work(turn: int) -> None:
        await tried.receive(requests[turn])

    async def kept(turn: int, _: None) -> None:
        assert (await scoring.invitation(requests[turn].invitation_id)).answer is None

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_event_stream_can_be_cancelled_at_any_await(tried: Scoring) -> None:
    pages = Live(tried.database.sessions, asyncio.Event())

    async def work(_: int) -> str:
        return await anext(pages.changes_of("after-purchase"))

    async def kept(_: int, said: str) -> None:
        assert said.startswith("event: figures")

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)
