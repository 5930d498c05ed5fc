"""`python -m tests.bench.dashboard [answers]`: response times of the dashboard with a million answers, or so many.

Answers are written by SQL, spread over a year, five stores, forty employees and three ages, with the buckets that the
service would keep. Prints the milliseconds of whole requests in this process, database included.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime

import asyncpg
import httpx2
import uvloop

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from services.scoring.models.scores import SCORE_COLUMNS
from shared import logging
from shared.clock import ManualClock
from shared.database.db import Database
from tests.bench.frame import temporary_database
from tests.staff import STAFF

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIMES = 15
PAGES = {
    "90 days": "/",
    "a year by month": "/?days=365",
    "a year by day": "/?days=365&period=day",
    "by employee": "/?by=employee",
    "one store": "/?segment=store:s1",
    "one employee": "/?segment=employee:e39",
    "comments of detractors": "/?group=detractor",
    "API, a customer's answers": "/v1/answers?customer=c7",
    "API, the score": "/v1/nps?program=p",
    "API, by store and month": "/v1/nps?program=p&by=store&period=month",
    "API, two crossed, 90 days": "/v1/nps?program=p&by=store,channel&from=2026-08-24",
    "API, latest per customer, 90 days": "/v1/nps?program=p&definition=latest_per_customer&from=2026-08-24",
}
CONTENT = """INSERT INTO contents (digest, document) VALUES ('one', '{"brand": {"name": "B"}, "question": "?",
"reasons": {"promoter": [], "other": [{"id": "wait", "text": "Long wait"}]}, "extra_questions": [], "thanks": {},
"plan": [{"step": 1, "channel": "email", "delay_s": 0}]}')"""
INVITE = """INSERT INTO invitations (id, fingerprint, respondent_id, customer_id, program, program_version,
program_title, locale, time_zone, program_zone, occasion, content, segments, dimensions, expires_at, invited_day,
counted, name, phone)
SELECT lpad(to_hex(n), 32, '0')::uuid, int4send(n), 'c' || n % 300000, 'c' || n % 300000, 'p', 1, 'P', 'en', 'UTC',
'UTC', '{"source": "s", "id": "e", "type": "t", "time": "2026-01-01T00:00:00Z"}', 'one', d, d || '{"version": "1"}', $2,
$3::date - n % 365, true, '', ''
FROM generate_series(1, 2 * $1::int) n, LATERAL (SELECT jsonb_build_object('store', 's' || n % 5, 'channel',
'c' || n % 3, 'employee', 'e' || n % 40, 'age', 'a' || n % 3) AS d) of"""
_ANSWER = """INSERT INTO answers (invitation_id, answer_id, version, score, reasons, comment, extra, mode, step,
channel, suspect, answered_at, first_day, device, callback_wanted)
SELECT id, id, 1, (hashint4(n) & 1023) * 11 / 1024, CASE WHEN n % 3 = 0 THEN '["wait"]' ELSE '[]' END::jsonb,
CASE WHEN hashint4(n + 7) & 7 = 0 THEN 'words' END, '{}',
CASE WHEN n % 9 = 0 THEN 'operator' ELSE 'self' END, 1, 'email',
false, invited_day + time '12:00', invited_day, 'phone', false
FROM (SELECT *, row_number() OVER ()::int AS n FROM invitations LIMIT $1) i"""
_SCORES = ", ".join(f"count(*) FILTER (WHERE score = {score})" for score in range(11))
_BUCKETS = f"""INSERT INTO buckets (program, dimension, value, day, {", ".join(SCORE_COLUMNS)}, operators)
SELECT i.program, d.key, d.value, first_day, {_SCORES}, count(*) FILTER (WHERE mode = 'operator')
FROM answers a JOIN invitations i ON i.id = a.invitation_id, LATERAL (SELECT * FROM jsonb_each_text(i.dimensions)
UNION ALL SELECT * FROM (VALUES ('all', ''), ('mode', a.mode), ('step', '1'), ('answering_device', a.device)) own
UNION ALL SELECT 'reason', r FROM jsonb_array_elements_text(a.reasons) r) d (key, value)
GROUP BY 1, 2, 3, 4"""  # noqa: S608 - numbers only
_INVITED = """INSERT INTO invited (program, dimension, value, day, invited, answered)
SELECT program, d.key, d.value, invited_day, count(*), count(*) / 2 FROM invitations, LATERAL
(SELECT * FROM jsonb_each_text(dimensions) UNION ALL SELECT 'all', '') d (key, value) GROUP BY 1, 2, 3, 4"""
_JOURNEYS = """INSERT INTO journeys (program, dimension, value, day, stage, detail, amount)
SELECT 'p', 'all', '', $1::date - d, stage, detail, 1000 FROM generate_series(0, 364) d,
(SELECT stage, detail FROM (VALUES ('asked'), ('reached'), ('opened'), ('answered'), ('ended')) s (stage),
(SELECT '' AS detail UNION ALL SELECT step || ' email ' || lpad(hour::text, 2, '0')
FROM generate_series(1, 3) step, generate_series(9, 20) hour) details) counters UNION ALL
SELECT 'p', 'store', 's' || n, $1::date - d, stage, detail, amount FROM generate_series(0, 364) d,
generate_series(0, 4) n, (VALUES ('asked', '', 1000), ('reached', '', 900), ('answered', '', 500), ('answered',
'1 email ?', 500), ('people', 'promoter', 100), ('people', 'silent', 500), ('reason', '3 wait', 90)) s (stage, detail,
amount)"""
_VALUES = """INSERT INTO dimension_values SELECT DISTINCT 'p', key, value FROM (SELECT dimensions FROM invitations
LIMIT 1000) i, jsonb_each_text(dimensions)"""
PROGRAM = 'INSERT INTO programs (id, version, document) VALUES (\'p\', 1, \'{"title": "P", "target": 40}\')'


async def fill(connection: asyncpg.Connection, answers: int) -> None:
    """Write a year of answers with their buckets."""
    today = NOW.date()
    await connection.execute(PROGRAM)
    await connection.execute(CONTENT)
    await connection.execute(INVITE, answers, NOW, today)
    await connection.execute(_ANSWER, answers)
    for statement in (_BUCKETS, _INVITED, _VALUES):
        await connection.execute(statement)
    await connection.execute(_JOURNEYS, today)
    await connection.execute("VACUUM ANALYZE")


async def measure(client: httpx2.AsyncClient, path: str) -> tuple[float, float]:
    """Request a page TIMES times; return the median and the slowest in milliseconds."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        (await client.get(path)).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken), max(taken[1:])


async def main(answers: int) -> None:
    async with temporary_database() as urls:
        database = Database(urls["scoring"], schema="scoring")
        connection = await database.connect()
        await fill(connection, answers)
        await connection.close()
        app = build_app(
            ScoringSettings(
                employee_figures=True,
            ),
            database=database,
            clock=ManualClock(NOW),
        )
        async with httpx2.AsyncClient(
            auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000"
        ) as client:
            print(f"{answers:,} answers: median, slowest in milliseconds")  # noqa: T201 - a report
            for name, path in PAGES.items():
                median, slowest = await measure(client, path)
                print(f"{name:36} {median:8.0f} {slowest:8.0f}")  # noqa: T201 - a report
        await database.close()


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
