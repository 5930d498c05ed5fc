"""All services in this process, with a business clock that stands still until the test advances it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from deploy import all_in_one
from deploy.addresses import address
from deploy.all_settings import ALL, AllSettings
from deploy.demo import quiescence
from deploy.demo.simulated_people import LINK
from deploy.operations.replay import isolated_settings
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.runtime import open_event_log
from tests.staff import STAFF

MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stage:
    settings: AllSettings
    clock: StoredClock
    watch: quiescence.QuiescenceWatch
    web: httpx2.AsyncClient
    urls: Mapping[str, str]

    @property
    def trigger(self) -> str:
        return address(self.settings, Service.TRIGGER)

    @property
    def dispatcher(self) -> str:
        return address(self.settings, Service.DISPATCHER)

    @property
    def scoring(self) -> str:
        return address(self.settings, Service.SCORING)

    async def happens(self, *events: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Post events to trigger, wait until all services are idle, and return the results."""
        answer = await self.web.post(f"{self.trigger}/v1/events", json=list(events))
        await self.settle()
        results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
        return results

    async def after(self, **time: float) -> None:
        """Let what happened before arrive, then move the clock, and wait until what is due has been done."""
        await self.settle()
        self.clock.anchor(self.clock.now() + timedelta(**time), speed=0)
        await self.settle()

    async def settle(self) -> None:
        async with asyncio.timeout(60):
            await self.watch.until_quiescent()

    async def mailbox(self) -> list[dict[str, Any]]:
        answer = await self.web.get(f"{self.dispatcher}/v1/mailbox", params={"limit": 500})
        messages: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        return messages

    async def invitation(self, invitation_id: str) -> dict[str, Any]:
        answer = await self.web.get(f"{self.dispatcher}/v1/invitations/{invitation_id}")
        history: dict[str, Any] = answer.raise_for_status().json()
        return history

    async def score(self, **query: str) -> dict[str, Any]:
        answer = await self.web.get(f"{self.scoring}/v1/nps", params=query)
        figures: dict[str, Any] = answer.raise_for_status().json()
        return figures

    async def answer(self, link: str, score: object, **more: object) -> httpx2.Response:
        answered = await self.web.post(link, data={"score": str(score), **more}, follow_redirects=True)
        await self.settle()
        return answered


def link_in(message: Mapping[str, Any]) -> str:
    found = LINK.search(message["text"])
    assert found is not None
    return found.group()


def event(kind: str, customer: Mapping[str, Any], *, at: datetime = MONDAY, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "shop",
        "type": kind,
        "time": at.isoformat(),
        "data": {"customer": customer, **data},
    }


def purchase(number: int = 1, *, at: datetime = MONDAY, store: str = "Tverskaya", **customer: Any) -> dict[str, Any]:
    who = {
        "id": f"customer-{number}",
        "name": f"Olga {number}",
        "email": f"olga{number}@example.com",
        "phone": f"+7900{number:07d}",
        "locale": "en",
        "time_zone": "UTC",
        "consent": {"email": True, "sms": True, "call": True},
    }
    order = {"id": f"order-{number}", "amount": "2490.00", "currency": "RUB"}
    touchpoint = {"store": store, "channel": "store"}
    return event("crm.purchase.completed", who | customer, at=at, order=order, touchpoint=touchpoint)


@asynccontextmanager
async def open_stage(
    urls: Mapping[str, str], folder: Path, *, events_url: str = "", **overrides: Any
) -> AsyncIterator[Stage]:
    """Run the three services on this database, with these settings, until the test ends."""
    databases = {f"{service}_database_url": urls[service] for service in ALL}
    settings = isolated_settings(folder, events_url=events_url or urls["transport"], **databases, **overrides)
    assert settings.trigger.clock is not None
    clock = StoredClock.create(settings.trigger.clock, start=MONDAY, speed=0)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        tasks.create_task(all_in_one.run(settings, stop, ready=lambda _urls: ready.set()))
        async with asyncio.timeout(30):
            await ready.wait()
        try:
            event_log = open_event_log(settings.trigger, events_url or urls["transport"])
            resources.push_async_callback(event_log.close)
            watch = await resources.enter_async_context(quiescence.watch(urls, event_log, clock))
            web = await resources.enter_async_context(httpx2.AsyncClient(auth=STAFF, timeout=30))
            stage = Stage(settings, clock, watch, web, urls)
            await stage.settle()
            yield stage
        finally:
            stop.set()
