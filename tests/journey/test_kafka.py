"""From an event to a score on a real Kafka: processes, two dispatchers, real SMTP, and a broker that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.kafka.broker import Broker
from shared.contract.events import NpsUpdated
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.transport.kafka import create_topics
from shared.runtime import open_event_log
from tests.journey.cluster import MailSink, ServiceCluster, open_cluster
from tests.journey.stage import Stage, purchase

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

REFUSED = "olga7@example.com"


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink(refused=frozenset({REFUSED})) as listening:
        yield listening


@pytest.fixture
async def cluster(
    urls: Mapping[str, str], tmp_path: Path, broker: Broker, sink: MailSink
) -> AsyncIterator[tuple[Stage, ServiceCluster]]:
    await create_topics(broker.url, TOPICS)
    async with open_cluster(urls, tmp_path, events_url=broker.url, smtp_url=sink.url) as opened:
        yield opened


async def outcomes(stage: Stage) -> dict[str, int]:
    async with stage.watch.databases[Service.DISPATCHER].sessions.begin() as session:
        rows = await db.fetch(session, "SELECT coalesce(outcome, state) AS name, count(*) FROM invitations GROUP BY 1")
    return {row["name"]: row["count"] for row in rows}


async def test_chain_on_kafka_with_two_dispatchers_one_of_them_killed(
    cluster: tuple[Stage, ServiceCluster], sink: MailSink
) -> None:
    stage, processes = cluster
    results = await stage.happens(*[purchase(number) for number in range(1, 61)])
    assert {result["reason"] for result in results} == {"asked"}
    assert len(sink.mails) == 59  # one address is refused and does not delay the others

    for number in range(1, 11):
        if number != 7:
            assert (await stage.answer(sink.link_to(f"olga{number}@example.com"), 9)).status_code == 200
    stage.clock.anchor(stage.clock.now() + timedelta(days=3), speed=0)
    await processes.kill("dispatcher-2")
    await stage.settle()
    for days in (2, 2, 18):
        await stage.after(days=days)

    assert await outcomes(stage) == {"answered": 9, "exhausted": 51}
    assert set(sink.per_message_id().values()) == {1}
    assert (await stage.score())["series"][0]["n"] == 9
    assert await processes.stop() == {"scoring": 0, "trigger": 0, "dispatcher": 0}


async def test_broker_away_for_a_while_loses_nothing_and_sends_nothing_twice(
    cluster: tuple[Stage, ServiceCluster], sink: MailSink, broker: Broker
) -> None:
    stage, _ = cluster
    await stage.happens(purchase(1))
    broker.kill()
    answers = await stage.web.post(f"{stage.trigger}/v1/events", json=[purchase(number) for number in range(2, 20)])
    assert answers.status_code == 202  # accepted means committed, also without a broker
    await asyncio.to_thread(broker.restart)
    await stage.settle()
    assert len(sink.mails) == 18  # olga7 is refused
    await stage.answer(sink.link_to("olga3@example.com"), 6)
    assert set(sink.per_message_id().values()) == {1}
    assert await last_update(stage) == {"n": 1, "nps": -100.0}


async def last_update(stage: Stage) -> dict[str, object]:
    """Return the score that another system computes from nps.updates, read from the start."""
    log = open_event_log(stage.settings.trigger, stage.settings.trigger.events_url)
    latest: NpsUpdated | None = None
    try:
        async with asyncio.timeout(30):
            async for batch in log.read("downstream", ["nps.updates"]):
                for message in batch.messages:
                    payload = codec.parse(message).payload
                    assert isinstance(payload, NpsUpdated)
                    if payload.dimension == "all":
                        latest = payload
                await batch.ack()
                if latest is not None and latest.n:
                    break
    finally:
        await log.close()
    assert latest is not None
    return {"n": latest.n, "nps": latest.nps}
