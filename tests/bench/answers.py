"""Stage answers: scores posted to the answer page of one program, acknowledged after commit, all counted.

The limit is the same route, application and client without a database. The ORM peer is a FastAPI route that loads one
counter for update, changes it and commits, with the same client.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from deploy import databases
from services.scoring import main
from services.scoring.answers.record import Recorded, SubmissionResult
from services.scoring.answers.writer import Writer
from services.scoring.config import ScoringSettings
from services.scoring.domain.answer_form import Submission, read_form
from services.scoring.domain.answers import Entry
from services.scoring.domain.invitations import Answer, Invitation, ResolvedLink
from shared import database_url, logging
from shared.clock import SystemClock
from shared.config import DEVELOPMENT_LINK_KEYS
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import AnswerMode
from shared.database import db, embedded
from shared.garbage import tune_gc
from shared.web import links
from shared.web.links import Purpose
from tests.bench import cost, orm
from tests.bench.frame import Measure, WrongResult
from tests.integration.scoring.stand import Scoring, requested

ITEMS = 2000
CONNECTIONS = 50
PEER_ITEMS = 500
WAL_FILES = 16  # of 16 MB
ORM = "FastAPI and ORM, one row"
ORM_LEAST = 5.0  # times its rate
LOG_INS = 50  # a second
BESIDE = f"beside {LOG_INS} log-ins a second"
STORES = 1000
SEGMENTS = {"region": "Moscow", "channel": "shop", "category": "coffee", "stage": "delivery"}
DIMENSIONS = 10  # all, store, four more segments, version, mode, step, answering device
NOW = datetime.now(UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


OURS_PORT, LIMIT_PORT, ROW_PORT = 18_431, 18_432, 18_433
ALONE = 100


class AnswersBench:
    name = "answers"
    gate = 0.40
    goal = 0.55

    def __init__(self, scoring: Scoring, server: embedded.Embedded, *, serving: int) -> None:
        self._scoring = scoring
        self.counters: dict[str, float] = {"dimensions": DIMENSIONS}
        self._meter = cost.Meter(self.counters, server, [serving])
        self._waits: list[float] = []
        self.peers: dict[str, Measure] = {"1,000 stores": self.spread, BESIDE: self.beside_log_ins, ORM: self.one_row}
        self.least = {ORM: ORM_LEAST}

    async def limit(self) -> float:
        rate, _ = await post_all(LIMIT_PORT, [uuid7() for _ in range(ITEMS)])
        return rate

    async def ours(self) -> float:
        rate, waits = await self._measure(lambda _number: "Tverskaya", self._meter.measure(ITEMS))
        self._waits = sorted([*self._waits, *waits])  # of all repetitions
        self.counters["p99_ms"] = self._waits[int(len(self._waits) * 0.99) - 1] * 1000
        self.counters["p50_ms"] = statistics.median(self._waits) * 1000
        return rate

    async def spread(self) -> float:
        """Measure the same with answers of a thousand stores."""
        rate, _ = await self._measure(lambda number: f"Store {number % STORES}", nullcontext())
        return rate

    async def beside_log_ins(self) -> float:
        """Measure the same while people try to log in, each with a password that has to be hashed."""
        stop = asyncio.Event()
        trying = asyncio.create_task(_log_ins(OURS_PORT, stop))
        rate, _ = await self._measure(lambda _number: "Tverskaya", nullcontext())
        stop.set()
        if await trying == 0:
            raise WrongResult("no log-in was answered")
        return rate

    async def _measure(self, store: object, measured: AbstractContextManager[None]) -> tuple[float, list[float]]:
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
        with measured:
            rate, waits = await post_all(OURS_PORT, [each.invitation_id for each in asked])
        if (counted := await self._counted() - before) != ITEMS * DIMENSIONS:
            raise WrongResult(f"{counted} counted in {DIMENSIONS} dimensions, of {ITEMS} answers")
        return rate, waits

    async def count(self) -> None:
        """Count the statements of answers that come one by one, because the size of a group is random."""
        asked = [await self._scoring.asked(segments=SEGMENTS, link_key="dev") for _ in range(ALONE)]
        async with cost.statements(self._scoring.database, self.counters, items=ALONE):
            for each in asked:
                await self._scoring.score(each, 9)

    async def _receive(self, asked: Sequence[SurveyRequested]) -> None:
        for start in range(0, len(asked), 500):
            await self._scoring.receive(*asked[start : start + 500])

    async def _counted(self) -> int:
        rows = await self._scoring.rows("SELECT coalesce(sum(s9), 0)::int AS n FROM buckets")
        return int(rows[0]["n"])

    async def one_row(self) -> float:
        """Measure the ORM peer, which counts every answer in one row."""
        before = await self._counted()
        rate, _ = await post_all(ROW_PORT, [uuid7() for _ in range(PEER_ITEMS)])
        if (counted := await self._counted() - before) != PEER_ITEMS:
            raise WrongResult(f"{counted} counted of {PEER_ITEMS} answers")
        return rate


async def post_all(port: int, invitations: Sequence[UUID]) -> tuple[float, list[float]]:
    """Post a 9 for each over persistent connections; return answers per second, and each response time in seconds."""
    waiting = iter(invitations)
    waits: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_post(port, waiting, waits) for _ in range(CONNECTIONS)))
    return len(invitations) / (time.perf_counter() - began), waits


async def _post(port: int, waiting: Iterator[UUID], waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = f"score=9&shown={int((time.time() - 60) * 1000)}".encode()
    for number, invitation_id in enumerate(waiting):
        token = links.token(DEVELOPMENT_LINK_KEYS, "dev", Purpose.ANSWER, invitation_id)
        head = (
            f"POST /s/{token}.1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: {BROWSER}\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if number:  # without the first of each connection, when fifty connect at once
            waits.append(time.perf_counter() - began)
        if not answer.startswith(b"HTTP/1.1 303") or b"content-length: 0" not in answer.lower():
            raise WrongResult(answer.splitlines()[0].decode())
    writer.close()


async def _log_ins(port: int, stop: asyncio.Event) -> int:
    """Send a log-in of an unknown person every so often, however slowly they are answered; return how many were."""
    answered = 0

    async def send() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = f"login={uuid7()}&password=correct+horse+battery+staple".encode()
        head = (
            f"POST /login HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = (await reader.readline()).split()[1]
        if status not in (b"401", b"503"):  # 503: more wait than may
            raise WrongResult(f"a log-in was answered with {status.decode()}")
        answered += status == b"401"
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        while not stop.is_set():
            tasks.create_task(send())
            await asyncio.sleep(1 / LOG_INS)
    return answered


# --- the servers, each in its own process


class _StoringNothing(Writer):
    """Resolves every link to one invitation, accepts every answer and stores none."""

    def __init__(self, invitation: Invitation) -> None:
        self._found = ResolvedLink(invitation, links=1, soon=False)

    async def submit(self, submission: Submission) -> SubmissionResult:
        entry = read_form(submission, self._found)
        if entry is None:
            raise WrongResult("the form was not understood")
        return SubmissionResult(self._found.invitation, entry, Recorded(_answer(entry, entry.at.date()), new=True))


def _answer(entry: Entry, day: date) -> Answer:
    return Answer(
        uuid7(), 1, 9, (), None, {}, AnswerMode.SELF, 1, None, suspect=False, answered_at=entry.at, first_day=day
    )


def _serve(urls: Mapping[str, str], invitation: Invitation | None, port: int) -> None:
    """Serve the whole application; given an invitation, it reads and writes nothing when it is answered."""
    logging.configure("warning", service="bench")
    if invitation is not None:
        patch.object(main, "Writer", lambda *_: _StoringNothing(invitation)).start()
    database = db.Database(urls["scoring"], schema="scoring")
    app = main.build_app(ScoringSettings(), database=database, clock=SystemClock())
    _run(app, port)


def _serve_row(urls: Mapping[str, str], _invitation: None, port: int) -> None:
    _run(orm.build_app(urls["scoring"]), port)


def _run(app: FastAPI, port: int) -> None:
    tune_gc()  # as in production
    uvicorn.run(app, port=port, log_config=None, access_log=False, lifespan="off", loop="uvloop")


@contextmanager
def _serving(
    serve: Callable[..., None], urls: Mapping[str, str], invitation: Invitation | None, port: int
) -> Iterator[int]:
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(dict(urls), invitation, port))
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.terminate()
        process.join()


async def _wait_for_port(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def _recycle_wal(admin_url: str) -> None:
    """Give the server WAL files to recycle, as one has after a while: creating a file takes 15 ms."""
    admin = await database_url.connect(admin_url)
    await admin.execute("ALTER SYSTEM SET min_wal_size = '1GB'")
    await admin.execute("SELECT pg_reload_conf()")
    for _ in range(WAL_FILES):
        await admin.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 16000000))")
    await admin.execute("CHECKPOINT")
    await admin.close()


@asynccontextmanager
async def open_bench() -> AsyncIterator[AnswersBench]:
    folder = Path(tempfile.mkdtemp(prefix="ea-"))
    server = embedded.start(folder / "pg")
    await _recycle_wal(server.admin_url)
    urls = await embedded.prepare(server)
    await databases.migrate({name: urls[name] for name in ("scoring", "transport")})
    database = db.Database(urls["scoring"], schema="scoring")
    scoring = Scoring(database)
    scoring.handlers._link_secrets = DEVELOPMENT_LINK_KEYS
    try:
        asked = await scoring.asked(link_key="dev", expires_at=NOW + timedelta(days=20))
        invitation = await scoring.invitation(asked.invitation_id)
        await scoring.rows("INSERT INTO buckets (program, dimension, value, day) VALUES ($1, $2, $3, $4)", *orm.ROW)
        with (
            _serving(_serve, urls, None, OURS_PORT) as serving,
            _serving(_serve, urls, invitation, LIMIT_PORT),
            _serving(_serve_row, urls, None, ROW_PORT),
        ):
            for port in (OURS_PORT, LIMIT_PORT, ROW_PORT):
                await _wait_for_port(port)
            bench = AnswersBench(scoring, server, serving=serving)
            await bench.count()
            yield bench
    finally:
        await database.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
