"""Cancellation at any await: a decision that was answered is stored together with its effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.main import build_app
from shared.clock import ManualClock
from shared.database.db import Database, fetch
from shared.messaging.relay_leadership import messages_in
from tests.cancellation import cancelled_at_every_turn
from tests.integration.trigger.samples import body, decide, purchase
from tests.staff import STAFF


@pytest.fixture
async def service_db(installed: Database, urls: Mapping[str, str]) -> AsyncIterator[Database]:
    """The database of the service that is cancelled, with few connections; `installed` reads it separately."""
    database = Database(urls["trigger"], schema=installed.schema, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
async def cancellable(
    service_db: Database, settings: TriggerSettings, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A request that is cancelled at a given await."""
    transport = httpx2.ASGITransport(build_app(settings, service_db, clock))
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8001") as client:
        yield client


def _sale(name: str) -> dict[str, Any]:
    return purchase(name, customer={"id": name, "email": f"{name}@shop.example"})


async def _is_asked(outside: Database, *names: str) -> None:
    async with outside.sessions() as session:
        asked = await fetch(session, "SELECT event_id FROM decisions WHERE reason = 'asked'")
        told = messages_in(await fetch(session, "SELECT * FROM outbox WHERE topic = 'survey.requests'"))
    assert {*names} <= {row["event_id"] for row in asked}
    assert {*names} <= {message.key for message in told}


async def test_event_that_was_answered_is_decided(
    cancellable: httpx2.AsyncClient, service_db: Database, installed: Database
) -> None:
    async def kept(turn: int, response: httpx2.Response) -> None:
        assert response.status_code == 202
        await _is_asked(installed, f"e{turn}")

    await cancelled_at_every_turn(
        lambda turn: cancellable.post("/v1/events", json=_sale(f"e{turn}")), database=service_db, kept=kept
    )


async def test_events_of_others_are_decided_when_one_of_them_leaves(
    cancellable: httpx2.AsyncClient, service_db: Database, installed: Database
) -> None:
    beside: dict[str, asyncio.Task[httpx2.Response]] = {}

    async def work(turn: int) -> None:
        beside[f"o{turn}"] = asyncio.create_task(cancellable.post("/v1/events", json=_sale(f"o{turn}")))
        await cancellable.post("/v1/events", json=_sale(f"e{turn}"))

    async def kept(turn: int, _: None) -> None:
        await _is_asked(installed, f"e{turn}")

    await cancelled_at_every_turn(work, database=service_db, kept=kept)
    assert {other.result().status_code for other in beside.values()} == {202}
    await _is_asked(installed, *beside)


async def test_batch_that_was_decided_is_stored(service_db: Database, installed: Database) -> None:
    """Cancels in every statement of a batch: inserts, updates, lifted suppressions and the outbox."""

    async def work(turn: int) -> list[str]:
        names = [f"e{turn}.{number}" for number in range(3)]
        erased = body("customer.erased", f"gone{turn}", customer={"id": f"e{turn - 1}.0"})
        verdicts = await decide(service_db, [*map(_sale, names), erased])
        assert all(isinstance(verdict, StoredDecision) for verdict in verdicts)
        return names

    async def kept(_: int, names: list[str]) -> None:
        await _is_asked(installed, *names)

    await cancelled_at_every_turn(work, database=service_db, kept=kept)
