"""Reading `nps.updates` from its beginning gives the current score; shown with Kafka's console consumer."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from deploy.kafka import broker
from services.scoring.domain.answers import Entry
from services.scoring.domain.score import Figure
from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import NO_STORES
from services.scoring.repository.scores import figures
from shared.contract.topics import NPS_UPDATES
from shared.contract.vocabulary import Service
from shared.database.db import Database
from shared.messaging.relay import Relay
from shared.messaging.transport import open_log
from shared.messaging.transport.kafka import create_topics
from tests.integration.scoring.stand import NOW, Scoring, requested

pytestmark = pytest.mark.kafka

STORES = ("Arbat", "Tverskaya", "Лубянка")


async def answers_of_three_days(scoring: Scoring) -> None:
    """Store answers and amendments and publish figures in between, so that each key has many messages."""
    chance = random.Random(5)
    requests = [requested(segments={"store": STORES[number % 3], "channel": "shop"}) for number in range(60)]
    await scoring.receive(*requests)
    for day in range(3):
        scoring.clock.moment = NOW + timedelta(days=day)
        for _ in range(3):
            chosen = chance.sample(requests, 12)
            at = scoring.clock.now()
            await asyncio.gather(
                *(scoring.writer.record(Entry(each.invitation_id, at, chance.randrange(11), step=1)) for each in chosen)
            )
            await scoring.tick()


async def relay_all(database: Database, url: str, *, prefix: str) -> int:
    """Move the outbox to Kafka; returns how many figures were in it."""
    event_log = open_log(url, topic_prefix=prefix)
    stop = asyncio.Event()
    scoring = Scoring(database)
    await scoring.rows("DELETE FROM outbox WHERE topic <> 'nps.updates'")
    [waiting] = await scoring.rows("SELECT count(*) AS n FROM outbox")
    relaying = asyncio.create_task(Relay(database, event_log, service=Service.SCORING).run(stop))
    while await scoring.rows("SELECT 1 FROM outbox LIMIT 1"):
        await event_log.ping()
    stop.set()
    await relaying
    await event_log.close()
    return int(waiting["n"])


async def consumed(url: str, topic: str, *, messages: int) -> list[tuple[str, dict[str, Any]]]:
    """Read a topic from its beginning with Kafka's console consumer; return keys and values in order."""
    command = [
        "java", *broker.JVM, "-cp", f"{broker.fetch()}/*", "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--bootstrap-server", urlsplit(url).netloc, "--topic", topic, "--from-beginning",
        "--max-messages", str(messages), "--timeout-ms", "30000",
        "--formatter-property", "print.key=true", "--formatter-property", "key.separator=\t",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    lines = [line.split("\t", 1) for line in output.decode().splitlines()]
    return [(key, json.loads(value)["data"]) for key, value in lines]


def rolling(days: list[dict[str, Any]], *, dimension: str) -> dict[str, tuple[list[int], int]]:
    """Figures of a period are sums of those of its days."""
    sums: dict[str, tuple[list[int], int]] = {}
    for day in days:
        if day["dimension"] == dimension:
            by_score, invited = sums.get(day["value"], ([0] * 11, 0))
            added = [a + b for a, b in zip(by_score, day["by_score"], strict=True)]
            sums[day["value"]] = added, invited + day["invited"]
    return sums


async def live(database: Database, *, dimension: str) -> dict[str, tuple[list[int], int]]:
    dimensions = () if dimension == "all" else (dimension,)
    async with database.sessions.begin() as session:
        found: list[Figure] = await figures.series(
            session, Slice("after-purchase", stores=NO_STORES), dimensions=dimensions
        )
    return {"".join(figure.value): (list(figure.tally.by_score), figure.invited) for figure in found}


async def test_reading_from_the_start_gives_the_live_score(scoring_db: Database, kafka_url: str) -> None:
    prefix = f"t{uuid4().hex[:10]}."
    await create_topics(kafka_url, [NPS_UPDATES], topic_prefix=prefix)
    await answers_of_three_days(Scoring(scoring_db))
    async with asyncio.timeout(60):
        published = await relay_all(scoring_db, kafka_url, prefix=prefix)
        read = await consumed(kafka_url, f"{prefix}{NPS_UPDATES.name}", messages=published)

    compacted = dict(read)  # what compaction leaves: the last message of each key
    assert len(read) == published > len(compacted)
    highest = {key: max(data["sequence"] for name, data in read if name == key) for key in compacted}
    assert {key: data["sequence"] for key, data in compacted.items()} == highest
    for dimension in ("all", "store"):
        expected = await live(scoring_db, dimension=dimension)
        assert rolling(list(compacted.values()), dimension=dimension) == expected
        assert expected
