"""The call desk with 100,000 waiting calls: its page, that of supervisors, and fifty operators who claim and save.

Calls are written by SQL, a tenth of them appointments, with five priorities. Operators act at the same moment. Times
are those of whole requests in this process, database included.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import asdict, dataclass

import asyncpg
import httpx2

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.clock import ManualClock
from shared.database.db import Database
from tests.bench import dashboard, frame
from tests.bench.frame import WrongResult
from tests.staff import STAFF

WAITING = 100_000
OPERATORS = 50
ROUNDS = 20
PAGES = 30
MOST_PAGE_MS = 100.0
MOST_REQUEST_MS = 250.0
_CALLS = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, step, phone, name, script, time_zone,
appointed, priority, max_attempts, due_at, due_until, expires_at)
SELECT id, id, respondent_id, 4, '+79161234567', 'Olga Petrova', 'Hello. ?', 'Europe/Moscow', n % 10 = 0, n % 5, 3,
$1::timestamptz - n * interval '1 second', $1::timestamptz + interval '8 hours', $1::timestamptz + interval '9 days'
FROM (SELECT *, row_number() OVER ()::int AS n FROM invitations) i"""


@dataclass(frozen=True, slots=True)
class DeskRun:
    """Milliseconds of the desk's page, of supervisors' (`team`), and of requests of fifty operators at the same moment.

    `processor` is this process's share of each of these requests, client included: it says little of how busy the
    machine is with other work.
    """

    stage: str
    waiting: int
    page_median: float
    page_p99: float
    team_median: float
    team_p99: float
    claim_median: float
    claim_p99: float
    save_median: float
    save_p99: float
    processor: float

    @property
    def passed(self) -> bool:
        return max(self.page_p99, self.team_p99) < MOST_PAGE_MS and max(self.claim_p99, self.save_p99) < MOST_REQUEST_MS


async def fill(connection: asyncpg.Connection, waiting: int) -> None:
    """Write calls that are due, with their invitations."""
    await connection.execute(dashboard.PROGRAM)
    await connection.execute(dashboard.CONTENT)
    await connection.execute(dashboard.INVITE, waiting // 2, dashboard.NOW.replace(year=2027), dashboard.NOW.date())
    await connection.execute(_CALLS, dashboard.NOW)
    await connection.execute("VACUUM ANALYZE")


async def measure(waiting: int = WAITING) -> DeskRun:
    """Raises WrongResult if two operators got one call, or a saved call is not stored."""
    async with frame.temporary_database() as urls:
        database = Database(urls["scoring"], schema="scoring")
        connection = await database.connect()
        await fill(connection, waiting)
        app = build_app(ScoringSettings(), database=database, clock=ManualClock(dashboard.NOW))
        async with httpx2.AsyncClient(
            auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000"
        ) as client:
            pages, team = [
                [await _page(client, path, each) for each in range(PAGES)] for path in ("/desk", "/desk-team")
            ]
            began = time.process_time()
            claims, saves = await _work(client)
            processor = 1000 * (time.process_time() - began) / (len(claims) + len(saves))
        await _check(connection)
        await connection.close()
        await database.close()
    figures = (
        figure for times in (pages[1:], team[1:], claims, saves) for figure in (statistics.median(times), _p99(times))
    )
    return DeskRun("desk", waiting, *(round(figure, 1) for figure in (*figures, processor)))


async def _work(client: httpx2.AsyncClient) -> tuple[list[float], list[float]]:
    """Let all operators claim a call at the same moment, then save an outcome, and again; return the milliseconds."""
    claims, saves = [], []
    for turn in range(ROUNDS):
        taken = await asyncio.gather(*(_claim(client, number) for number in range(OPERATORS)))
        calls = Counter(call for call, _ in taken)
        if len(calls) < OPERATORS:
            raise WrongResult(f"{OPERATORS - len(calls)} calls had two operators")
        claims += [took for _, took in taken]
        saves += await asyncio.gather(*(_save(client, n, call, turn) for n, (call, _) in enumerate(taken)))
    return claims, saves


async def _page(client: httpx2.AsyncClient, path: str, number: int) -> float:
    answer, took = await _timed(client.get(path, headers=_named(number)))
    if answer.status_code != 200:
        raise WrongResult(f"{path} answered {answer.status_code}")
    return took


async def _claim(client: httpx2.AsyncClient, operator: int) -> tuple[str, float]:
    answer, took = await _timed(client.post("/desk/take", headers=_named(operator)))
    return answer.headers["location"], took


async def _save(client: httpx2.AsyncClient, operator: int, call: str, turn: int) -> float:
    """Save an answer or, of every fifth call, that nobody answered."""
    path, said = ("outcome", {"disposition": "no_answer"}) if (operator + turn) % 5 == 0 else ("answer", {"score": "9"})
    answer, took = await _timed(client.post(f"{call}/{path}", data=said, headers=_named(operator)))
    if answer.status_code != 303:
        raise WrongResult(f"a call was not saved: {answer.status_code}")
    return took


def _named(operator: int) -> dict[str, str]:
    return {"cookie": f"operator=Operator {operator}"}


async def _timed(request: Awaitable[httpx2.Response]) -> tuple[httpx2.Response, float]:
    began = time.perf_counter()
    answer = await request
    return answer, 1000 * (time.perf_counter() - began)


async def _check(connection: asyncpg.Connection) -> None:
    attempts = await connection.fetchval("SELECT count(DISTINCT task_id) FROM call_attempts")
    answers = await connection.fetchval("SELECT count(*) FROM answers WHERE operator IS NOT NULL")
    if (attempts, answers) != (OPERATORS * ROUNDS, OPERATORS * ROUNDS * 4 // 5):
        raise WrongResult(f"{attempts} attempts and {answers} answers are stored")


def _p99(times: Iterable[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def report(run: DeskRun) -> bool:
    """Print milliseconds, store them in the JSON file, and return whether they are small enough."""
    rows = (
        ("page", run.page_median, run.page_p99, MOST_PAGE_MS),
        ("team", run.team_median, run.team_p99, MOST_PAGE_MS),
        ("claim", run.claim_median, run.claim_p99, MOST_REQUEST_MS),
        ("save", run.save_median, run.save_p99, MOST_REQUEST_MS),
    )
    sys.stdout.write(f"{run.waiting:,} calls wait, {OPERATORS} operators: median, p99 and most, in milliseconds\n")
    for name, median, p99, most in rows:
        sys.stdout.write(f"{name:10} {median:8.1f} {p99:8.1f} {most:8.0f}\n")
    sys.stdout.write(f"processor of a claim or a save: {run.processor} ms\n")
    frame.write([asdict(run)])
    return run.passed
