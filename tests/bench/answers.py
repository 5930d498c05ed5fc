"""Stage answers: scores posted to the answer page of one hot program, acknowledged after commit, sums exact.

The limit is the same route, application and client without a database.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import uvicorn
from sqlalchemy.orm import registry
from uuid_utils.compat import uuid7

from deploy import databases
from services.scoring import main
from services.scoring.answers import Recorded, Submission, Submitted
from services.scoring.config import ScoringSettings
from services.scoring.domain.answers import Answer, Entry, Invitation
from services.scoring.models import buckets
from services.scoring.repository.invitations import Visited
from services.scoring.writer import Writer
from shared import db, embedded, links, logging, runtime
from shared.clock import SystemClock
from shared.config import DEVELOPMENT_LINK_KEYS
from shared.events import SurveyRequested
from shared.links import Purpose
from shared.transport import open_log
from shared.vocabulary import AnswerMode
from tests.bench.frame import Measure, NotRight
from tests.integration.scoring.stand import Scoring, requested

ITEMS = 2000
CONNECTIONS = 50
PEER_ITEMS = 200
STORES = 1000
SEGMENTS = {"region": "Moscow", "channel": "shop", "employee": "e-17", "stage": "delivery"}
DIMENSIONS = 10  # all, store, four more segments, version, mode, step, answering device
NOW = datetime.now(UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


class AnswersBench:
    name = "answers"
    gate = 0.40
    goal = 0.55

    def __init__(self, scoring: Scoring, *, ours: int, limit: int) -> None:
        self._scoring, self._ours, self._limit = scoring, ours, limit
        self.counters: dict[str, float] = {"dimensions": DIMENSIONS}
        self.peers: dict[str, Measure] = {"1,000 stores": self.spread, "ORM, one row": self.one_row}

    async def limit(self) -> float:
        rate, _ = await post_all(self._limit, [uuid7() for _ in range(ITEMS)])
        return rate

    async def ours(self) -> float:
        rate, waits = await self._measure(lambda _number: "Tverskaya")
        self.counters["p99_ms"] = waits[int(len(waits) * 0.99) - 1] * 1000
        self.counters["p50_ms"] = statistics.median(waits) * 1000
        return rate

    async def spread(self) -> float:
        """The same over a thousand stores."""
        rate, _ = await self._measure(lambda number: f"Store {number % STORES}")
        return rate

    async def _measure(self, store: object) -> tuple[float, list[float]]:
        asked = [
            requested(
                segments={**SEGMENTS, "store": store(number)},  # type: ignore[operator]
                send_at=NOW - timedelta(days=1),
                expires_at=NOW + timedelta(days=20),
                link_key="dev",
            )
            for number in range(ITEMS)
        ]
        await self._receive(asked)
        before = await self._counted()
        rate, waits = await post_all(self._ours, [each.invitation_id for each in asked])
        if (counted := await self._counted() - before) != ITEMS * DIMENSIONS:
            raise NotRight(f"{counted} counted in {DIMENSIONS} dimensions, of {ITEMS} answers")
        return rate, waits

    async def _receive(self, asked: Sequence[SurveyRequested]) -> None:
        for start in range(0, len(asked), 500):
            await self._scoring.receive(*asked[start : start + 500])

    async def _counted(self) -> int:
        rows = await self._scoring.rows("SELECT coalesce(sum(s9), 0)::int AS n FROM buckets")
        return int(rows[0]["n"])

    async def one_row(self) -> float:
        """Load one counter row, change it, commit: what an ORM does unasked."""
        key = await self._scoring.rows(
            "SELECT program, dimension, value, day FROM buckets WHERE dimension = 'all' ORDER BY day DESC LIMIT 1"
        )
        if not key:
            await self.ours()
            return await self.one_row()
        began = time.perf_counter()
        await asyncio.gather(*(self._add_one(tuple(key[0].values())) for _ in range(PEER_ITEMS)))
        rate = PEER_ITEMS / (time.perf_counter() - began)
        await self._scoring.rows("UPDATE buckets SET s0 = 0")
        return rate

    async def _add_one(self, key: tuple[object, ...]) -> None:
        async with self._scoring.database.sessions.begin() as session:
            row = await session.get_one(Bucket, key, with_for_update=True)
            row.s0 += 1


class Bucket:
    s0: int


registry().map_imperatively(Bucket, buckets)


async def post_all(port: int, invitations: Sequence[UUID]) -> tuple[float, list[float]]:
    """Post a 9 for each over kept connections; returns answers per second and how long each waited, sorted."""
    waiting = iter(invitations)
    waits: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_post(port, waiting, waits) for _ in range(CONNECTIONS)))
    return len(invitations) / (time.perf_counter() - began), sorted(waits)


async def _post(port: int, waiting: Iterator[UUID], waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = f"score=9&shown={int((time.time() - 60) * 1000)}".encode()
    for invitation_id in waiting:
        token = links.token(DEVELOPMENT_LINK_KEYS, "dev", Purpose.ANSWER, invitation_id)
        head = (
            f"POST /s/{token}.1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: {BROWSER}\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        waits.append(time.perf_counter() - began)
        if not answer.startswith(b"HTTP/1.1 303") or b"content-length: 0" not in answer.lower():
            raise NotRight(answer.splitlines()[0].decode())
    writer.close()


# --- the two servers, each in a process of its own


class _Nobody(Writer):
    """Knows every link as that of one invitation, takes every answer and stores none."""

    def __init__(self, invitation: Invitation) -> None:
        self._found = Visited(invitation, links=1, soon=False)

    async def submit(self, submission: Submission) -> Submitted:
        entry = submission.read(self._found)
        if entry is None:
            raise NotRight("the form was not understood")
        return Submitted(self._found.invitation, entry, Recorded(_answer(entry, entry.at.date()), new=True))


def _answer(entry: Entry, day: date) -> Answer:
    return Answer(
        uuid7(), 1, 9, (), None, {}, AnswerMode.SELF, 1, None, suspect=False, answered_at=entry.at, first_day=day
    )


def _serve(urls: Mapping[str, str], invitation: Invitation | None, port: int) -> None:
    """Serve the whole application; what is given an invitation reads and writes nothing to answer for it."""
    logging.configure("warning", service="bench")
    if invitation is not None:
        patch.object(main, "Writer", lambda _sessions: _Nobody(invitation)).start()
    database = db.Database(urls["scoring"], schema="scoring")
    app = main.build_app(
        ScoringSettings(), database=database, event_log=open_log(urls["transport"]), clock=SystemClock()
    )
    runtime.collect_seldom()  # as in production
    uvicorn.run(app, port=port, log_config=None, access_log=False, lifespan="off", loop="uvloop")


@contextmanager
def _serving(urls: Mapping[str, str], invitation: Invitation | None, port: int) -> Iterator[int]:
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(dict(urls), invitation, port))
    process.start()
    try:
        yield port
    finally:
        process.terminate()
        process.join()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


@asynccontextmanager
async def open_bench() -> AsyncIterator[AnswersBench]:
    folder = Path(tempfile.mkdtemp(prefix="ea-"))
    server = embedded.start(folder / "pg")
    urls = await embedded.prepare(server)
    await databases.migrate({name: urls[name] for name in ("scoring", "transport")})
    database = db.Database(urls["scoring"], schema="scoring")
    scoring = Scoring(database)
    scoring.handlers._link_secrets = DEVELOPMENT_LINK_KEYS
    try:
        asked = await scoring.asked(link_key="dev", expires_at=NOW + timedelta(days=20))
        invitation = await scoring.invitation(asked.invitation_id)
        with _serving(urls, None, 18_431) as ours, _serving(urls, invitation, 18_432) as limit:
            await _until_open(ours)
            await _until_open(limit)
            yield AnswersBench(scoring, ours=ours, limit=limit)
    finally:
        await database.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
