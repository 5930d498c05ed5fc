"""`python -m tests.bench.comments [comments]`: response times of searches in a million comments, or so many.

Answers are those of the dashboard's benchmark, over a year and five stores, each with a comment of twelve words: eight
words that are common, and 20,000 of which the first are more frequent. Prints the milliseconds of whole requests.
"""

from __future__ import annotations

import sys
import time

import httpx2
import uvloop

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared import logging
from shared.clock import ManualClock
from shared.database.db import Database
from shared.database_url import DEFAULT
from tests.bench import dashboard
from tests.bench.frame import temporary_database
from tests.staff import STAFF

SEARCHES = {
    "all comments": "",
    "in no comment": "words=слоновий",
    "in 20 of a million": "words=редкость",
    "in some hundreds": "words=дым15000",
    "in every thirtieth": "words=дым0",
    "in every third": "words=доставка",
    "three common words": "words=доставка кофе холодный",
    "a phrase": 'words="холодный кофе"',
    "common, of one store": "words=доставка&store=s1",
    "common, of promoters": "words=доставка&group=promoter",
    "common, in ninety days": "words=доставка&from=2026-08-24",
    "common, in a store without answers": "words=доставка&store=s9",
    "frequent, in a store without answers": "words=дым0&store=s9",
}
_WRITE = """UPDATE answers a SET comment = (SELECT string_agg(CASE WHEN random() < 0.3
THEN (ARRAY['доставку', 'кофе', 'курьер', 'цена', 'персонал', 'быстро', 'вежливо', 'холодный'])[1 + floor(random() * 8)]
ELSE 'дым' || floor(20000 * random() ^ 3)::int END, ' ') FROM generate_series(1, 12) WHERE a.version = 1)
|| CASE WHEN random() < 0.00002 THEN ' редкость' ELSE '' END"""
_DEFINED = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'scoring' AND indexname = 'answers_words'"
_SIZE = """SELECT pg_size_pretty(pg_relation_size('answers_words')) || ' beside the ' ||
pg_size_pretty(pg_relation_size('answers')) || ' of answers'"""


async def fill(database: Database, comments: int) -> None:
    """Write the answers and their comments; prints how long the index takes, and its size."""
    connection = await database.connect()
    await dashboard.fill(connection, comments)
    defined = await connection.fetchval(_DEFINED)
    await connection.execute("DROP INDEX answers_words")
    await connection.execute(_WRITE)
    await connection.execute("VACUUM FULL answers")
    began = time.perf_counter()
    await connection.execute(defined)
    size = await connection.fetchval(_SIZE)
    print(f"index of {comments:,} comments: {time.perf_counter() - began:.0f} s, {size}")  # noqa: T201 - a report
    await connection.execute("VACUUM ANALYZE answers")
    await connection.close()


async def main(comments: int) -> None:
    async with temporary_database() as urls:
        unlimited = Database(urls["scoring"], schema="scoring", options=DEFAULT.unlimited)
        await fill(unlimited, comments)
        await unlimited.close()
        database = Database(urls["scoring"], schema="scoring")
        app = build_app(ScoringSettings(), database=database, clock=ManualClock(dashboard.NOW))
        async with httpx2.AsyncClient(
            auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000"
        ) as client:
            print("median, slowest in milliseconds")  # noqa: T201 - a report
            for name, asked in SEARCHES.items():
                median, slowest = await dashboard.measure(client, f"/comments?{asked}")
                print(f"{name:40} {median:8.0f} {slowest:8.0f}", flush=True)  # noqa: T201 - a report
            median, slowest = await dashboard.measure(client, "/v1/answers?words=доставка")
            print(f"{'API, in every third':40} {median:8.0f} {slowest:8.0f}")  # noqa: T201 - a report
        await database.close()


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
