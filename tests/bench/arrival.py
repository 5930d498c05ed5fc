"""`python -m tests.bench.arrival`: how long an answer takes from its commit in scoring to its readers, on real Kafka.

Real processes, two dispatchers; answers are posted to the answer page at a steady rate. The event's id, a UUIDv7 made
just before scoring's commit, is compared with the start of dispatcher's transaction, and with when a consumer got the
first `nps.updated` that counts the answer: machine time of one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import uvloop

from deploy import databases
from deploy.kafka.broker import Broker
from shared import logging
from shared.contract.events import NpsUpdated, SurveyAnswered
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from shared.messaging import codec
from shared.messaging.transport import open_log
from shared.messaging.transport.kafka import create_topics
from tests.journey.cluster import MailSink, open_cluster
from tests.journey.stage import Stage, purchase

AT_ONCE = 100
DISPATCHER_MS, SCORE_MS = 500.0, 250.0
_SEEN = "SELECT event_id, seen_at FROM inbox WHERE group_name = $1 AND event_id > $2"


async def measure(*, answers: int, per_second: float) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each answer to dispatcher and to a published score, each sorted."""
    folder = Path(tempfile.mkdtemp(prefix="ea-"))
    server = embedded.start(folder / "pg")
    try:
        with Broker() as broker, MailSink() as sink:
            urls = await embedded.prepare(server)
            await databases.migrate(urls)
            await create_topics(broker.url, TOPICS)
            async with open_cluster(urls, folder, events_url=broker.url, smtp_url=sink.url) as (stage, _):
                for first in range(1, answers + 1, AT_ONCE):
                    await stage.happens(*(purchase(number) for number in range(first, first + AT_ONCE)))
                links = [sink.link_to(f"olga{number}@example.com") for number in range(1, answers + 1)]
                reader = ScoreReader(answers)
                reading = asyncio.create_task(reader.listen(broker.url))
                try:
                    to_dispatcher = await _answer(stage, links, per_second)
                    async with asyncio.timeout(30):
                        await reader.complete.wait()
                finally:
                    reading.cancel()
                return to_dispatcher, reader.waits()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class ScoreReader:
    """What a consumer read: the creation time of each answer in ms, and each published count with its arrival in ms."""

    answers: int
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    answered: list[int] = field(default_factory=list)
    counted: list[tuple[int, float]] = field(default_factory=list)

    async def listen(self, url: str) -> None:
        event_log = open_log(url)
        async with aclosing(event_log.read("bench", [SurveyAnswered.topic, NpsUpdated.topic])) as batches:
            async for batch in batches:
                now = time.time() * 1000
                for event in map(codec.parse, batch.messages):
                    if isinstance(event.payload, SurveyAnswered):
                        self.answered.append(_made_at(event.id))
                    elif isinstance(event.payload, NpsUpdated) and event.payload.dimension == "all":
                        self.counted.append((event.payload.n, now))
                await batch.ack()
                if len(self.answered) == self.answers == max((count for count, _ in self.counted), default=0):
                    self.complete.set()

    def waits(self) -> list[float]:
        """Return, for each answer, the milliseconds until a published score included it, sorted."""
        scores = iter(sorted(self.counted))
        count, at = next(scores)
        found = []
        for number, made in enumerate(sorted(self.answered), 1):
            while count < number:
                count, at = next(scores)
            found.append(at - made)
        return sorted(found)


def _made_at(event_id: str) -> int:
    """Read the milliseconds of a UUIDv7."""
    return UUID(event_id).int >> 80


async def _answer(stage: Stage, links: list[str], per_second: float) -> list[float]:
    database = stage.watch.databases[Service.DISPATCHER]
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
    return sorted(row["seen_at"].timestamp() * 1000 - _made_at(row["event_id"]) for row in rows)


def _report(name: str, waits: list[float], goal: float) -> bool:
    p99 = waits[int(len(waits) * 0.99) - 1]
    figures = f"p50 {statistics.median(waits):.0f}, p99 {p99:.0f}, most {waits[-1]:.0f}; goal p99 {goal:.0f}"
    print(f"to {name}, ms: {figures}")  # noqa: T201 - a report
    return p99 <= goal


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    parser = argparse.ArgumentParser(prog="python -m tests.bench.arrival")
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=50)
    chosen = parser.parse_args()
    to_dispatcher, to_score = uvloop.run(measure(answers=chosen.answers, per_second=chosen.per_second))
    print(f"answers {len(to_dispatcher)}, {chosen.per_second:.0f} a second; from scoring's commit")  # noqa: T201 - a report
    in_time = _report("dispatcher", to_dispatcher, DISPATCHER_MS), _report("nps.updated", to_score, SCORE_MS)
    raise SystemExit(not all(in_time))
