"""`python -m tests.bench.buffers [answers]`: the buffers that reading a score touches, with few answers and with many.

Answers are written by SQL, spread over 90 days, five stores and three channels, with the buckets that the service
would keep. Prints buffers and milliseconds of the statements behind `GET /v1/nps`, with a warm cache; exits with 1
when the larger number of answers touches over 5 % more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvloop

from services.scoring.models.scores import SCORE_COLUMNS
from services.scoring.repository.scores import figures
from shared import logging
from shared.database.db import Database
from tests.bench.frame import temporary_database

TODAY = datetime(2026, 11, 22, tzinfo=UTC).date()
DAYS = 90
FEW, MANY = 1000, 10_000_000
AT_MOST = 1.05
QUERIES: Mapping[str, tuple[Any, ...]] = {
    "the score of 90 days": ("p", None, None, "all", "", ""),
    "one store by day": ("p", None, None, "store", "s1", "YYYY-MM-DD"),
    "by store and month": ("p", None, None, "store", None, "YYYY-MM"),
    "by channel": ("p", None, None, "channel", None, ""),
}
_ANSWER = f"""INSERT INTO answers (invitation_id, answer_id, version, score, reasons, comment, extra, mode, step,
channel, suspect, answered_at, first_day, device, callback_wanted)
SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, 1, n % 11, '[]', NULL, '{{}}', 'self', 1,
'email', false, $3::date - n % {DAYS} + time '12:00', $3::date - n % {DAYS}, 'phone', false
FROM generate_series($1::int, $2::int) n"""  # noqa: S608 - a constant
_SERIES = f"""WITH said AS (SELECT $2::date - n % {DAYS} AS day, n % 11 AS score, n / {DAYS} % 5 AS store,
n / {DAYS} % 3 AS channel, count(*) AS n FROM generate_series(1, $1::int) n GROUP BY 1, 2, 3, 4)
SELECT 'p' AS program, d.dimension, d.value, day, score, n FROM said, LATERAL (VALUES ('all', ''),
('store', 's' || store), ('channel', 'c' || channel), ('version', '1'), ('mode', 'self'),
('step', '1'), ('answering_device', 'phone')) AS d (dimension, value)"""  # noqa: S608 - a constant
_SCORES = ", ".join(f"coalesce(sum(n) FILTER (WHERE score = {score}), 0)" for score in range(11))
_BUCKETS = f"""INSERT INTO buckets (program, dimension, value, day, {", ".join(SCORE_COLUMNS)})
SELECT program, dimension, value, day, {_SCORES} FROM ({_SERIES}) s GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3
"""  # noqa: S608 - numbers only
_INVITED = f"""INSERT INTO invited (program, dimension, value, day, invited, answered)
SELECT program, dimension, value, day, 3 * sum(n), sum(n) FROM ({_SERIES}) s
WHERE dimension NOT IN ('mode', 'step', 'answering_device') GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3
"""  # noqa: S608 - constants only
_COUNTED = f"SELECT sum({' + '.join(SCORE_COLUMNS)}) FROM buckets WHERE dimension = 'all'"  # noqa: S608 - column names only
AT_ONCE = 1_000_000


async def fill(connection: asyncpg.Connection, answers: int) -> None:
    """Replace all answers by so many new ones, with their buckets."""
    await connection.execute("TRUNCATE answers, buckets, invited")
    for first in range(1, answers + 1, AT_ONCE):
        await connection.execute(_ANSWER, first, min(first + AT_ONCE - 1, answers), TODAY)
    for statement in (_BUCKETS, _INVITED):
        await connection.execute(statement, answers, TODAY)
    for table in ("answers", "buckets", "invited"):
        await connection.execute(f"VACUUM ANALYZE {table}")
    counted = await connection.fetchval(_COUNTED)
    if counted != answers:
        raise RuntimeError(f"{counted} counted of {answers} answers")


async def touched(connection: asyncpg.Connection, *of: object) -> tuple[int, float]:
    """Read one score with a warm cache; return the buffers touched and the milliseconds."""
    buffers, taken = 0, 0.0
    for statement in (figures._SUMS, figures._INVITED):
        await connection.fetch(statement, *of)
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *of)
        [plan] = json.loads(explained)
        buffers += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        taken += plan["Execution Time"]
    return buffers, taken


async def main(many: int) -> bool:
    async with temporary_database() as urls:
        database = Database(urls["scoring"], schema="scoring")
        connection = await database.connect()
        found = []
        for answers in (FEW, many):
            await fill(connection, answers)
            found.append({name: await touched(connection, *of) for name, of in QUERIES.items()})
        await connection.close()
        await database.close()
    return _report(many, *found)


def _report(many: int, small: Mapping[str, tuple[int, float]], large: Mapping[str, tuple[int, float]]) -> bool:
    print(f"{'answers':24}{FEW:>12,}{many:>18,}    buffers and milliseconds")  # noqa: T201 - a report
    for name in QUERIES:
        print(f"{name:24}" + "".join(f"{each[name][0]:9,}{each[name][1]:9.2f}" for each in (small, large)))  # noqa: T201
    return all(large[name][0] <= AT_MOST * small[name][0] for name in QUERIES)


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    raise SystemExit(not uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)))
