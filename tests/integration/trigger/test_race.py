"""Concurrent events of one customer by HTTP and log: the cap allows one survey, and there is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.main import CRM_TOPICS, EventLogs, consumers
from shared.clock import ManualClock
from shared.contract.events import SurveyRequested
from shared.contract.topics import Topic
from shared.database.db import Database
from shared.messaging.transport import EventLog, Message, open_log
from shared.messaging.transport.kafka import create_topics
from tests.integration.trigger.samples import count, message, published, purchase

EVENTS = 1000


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
async def crm_log(request: pytest.FixtureRequest, urls: Mapping[str, str]) -> AsyncIterator[EventLog]:
    prefix = f"t{uuid4().hex[:10]}."
    url = urls["transport"] if request.param == "postgres" else request.getfixturevalue("kafka_url")
    if request.param == "kafka":
        await create_topics(url, [Topic(name, partitions=4) for name in CRM_TOPICS], topic_prefix=prefix)
    log = open_log(url, topic_prefix=prefix)
    yield log
    await log.close()


async def test_thousand_concurrent_events_of_one_customer_ask_once(  # noqa: PLR0917 - fixtures
    settings: TriggerSettings,
    installed: Database,
    client: httpx2.AsyncClient,
    event_log: EventLog,
    crm_log: EventLog,
    clock: ManualClock,
) -> None:
    sent = [purchase(f"e{number}") for number in range(EVENTS)]
    half = EVENTS // 2
    stop = asyncio.Event()
    readers = [
        consumers(settings, installed, EventLogs(event_log, crm_log, crm_log), sources={}, clock=clock)["crm"]
        for _process in range(2)
    ]
    for reader in readers:
        reader.batch_size = 50

    async def through_the_log() -> None:
        spread = [
            Message(CRM_TOPICS[0], f"key {number % 7}", message(one).body) for number, one in enumerate(sent[:half])
        ]
        await crm_log.append(spread)

    async def through_http() -> None:
        groups = [
            sent[start : start + 25] for start in range(half - 100, EVENTS, 25)
        ]  # a hundred go through both doors
        answers = await asyncio.gather(*(client.post("/v1/events", json=group) for group in groups))
        assert {answer.status_code for answer in answers} == {202}

    async def until_all_are_decided() -> None:
        await asyncio.gather(through_the_log(), through_http())
        while await count(installed, "decisions") < EVENTS:  # noqa: ASYNC110 - another connection's rows set no event
            await asyncio.sleep(0.05)
        stop.set()

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        for reader in readers:
            tasks.create_task(reader.run(stop))
        tasks.create_task(until_all_are_decided())
    assert await count(installed, "decisions") == EVENTS
    assert sum(isinstance(event.payload, SurveyRequested) for event in await published(installed)) == 1
