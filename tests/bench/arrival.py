"""`python -m tests.bench.arrival`: how long an answer takes from its commit in scoring to dispatcher, on real Kafka.

Real processes, two dispatchers; answers are posted to the answer page at a steady rate. The event's id, a UUIDv7 made
just before scoring's commit, is compared with the start of dispatcher's transaction: machine time of one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
from pathlib import Path
from uuid import UUID

import uvloop

from deploy import databases
from deploy.kafka.broker import Broker
from shared import db, embedded, logging
from shared.topics import TOPICS
from shared.transport.kafka import create_topics
from shared.vocabulary import Service
from tests.journey.cluster import Sink, open_cluster
from tests.journey.stage import Stage, purchase

AT_ONCE = 100
GOAL_MS = 500.0
_SEEN = "SELECT event_id, seen_at FROM inbox WHERE group_name = $1 AND event_id > $2"


async def measure(*, answers: int, per_second: float) -> list[float]:
    """Return each answer's way in milliseconds, sorted."""
    folder = Path(tempfile.mkdtemp(prefix="ea-"))
    server = embedded.start(folder / "pg")
    try:
        with Broker() as broker, Sink() as sink:
            urls = await embedded.prepare(server)
            await databases.migrate(urls)
            await create_topics(broker.url, TOPICS)
            async with open_cluster(urls, folder, events_url=broker.url, smtp_url=sink.url) as (stage, _):
                for first in range(1, answers + 1, AT_ONCE):
                    await stage.happens(*(purchase(number) for number in range(first, first + AT_ONCE)))
                links = [sink.link_to(f"olga{number}@example.com") for number in range(1, answers + 1)]
                return await _answer(stage, links, per_second)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _answer(stage: Stage, links: list[str], per_second: float) -> list[float]:
    database = stage.chain.databases[Service.DISPATCHER]
    async with database.sessions.begin() as session:
        last = (await db.fetch(session, "SELECT max(event_id) AS id FROM inbox"))[0]["id"]
    async with asyncio.TaskGroup() as tasks:
        for link in links:
            tasks.create_task(stage.web.post(link, data={"score": "9"}))
            await asyncio.sleep(1 / per_second)
    await stage.settle()
    async with database.sessions.begin() as session:
        rows = await db.fetch(session, _SEEN, Service.DISPATCHER.group, last)
    if len(rows) != len(links):
        raise RuntimeError(f"{len(rows)} of {len(links)} answers arrived")
    return sorted(row["seen_at"].timestamp() * 1000 - (UUID(row["event_id"]).int >> 80) for row in rows)


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    parser = argparse.ArgumentParser(prog="python -m tests.bench.arrival")
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=50)
    chosen = parser.parse_args()
    waits = uvloop.run(measure(answers=chosen.answers, per_second=chosen.per_second))
    p99 = waits[int(len(waits) * 0.99) - 1]
    print(f"answers {len(waits)}, {chosen.per_second:.0f} a second; from scoring's commit to dispatcher, ms:")  # noqa: T201
    print(f"p50 {statistics.median(waits):.0f}, p99 {p99:.0f}, most {waits[-1]:.0f}; goal p99 {GOAL_MS:.0f}")  # noqa: T201
    raise SystemExit(p99 > GOAL_MS)
