"""No statement of the services reads a whole large table, with the statistics of a hundred million events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from services.scoring.repository.retention import dropping
from services.scoring.repository.retention.limits import NIL, RetentionLimit
from shared import database_url
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from tests import query_plans
from tests.bench.purchases import Asked, Shop
from tests.journey.stage import Stage, open_stage
from tests.query_plans import Statement

EVENTS = 400
LIKE_EVENTS = 100_000_000
PAGES = (
    *(
        "/",
        "/decisions",
        "/invitations",
        "/sources",
        "/suspects",
        "/comments",
        "/comments?tag=late",
        "/tags",
        "/comments?words=coffee&group=detractor",
        "/stores",
        "/replies",
        "/suppressions",
        "/desk",
        "/desk-team",
        "/desk-team/figures",
        "/mailbox",
    ),
    *(
        "/v1/nps",
        "/v1/nps?by=store",
        "/v1/nps?segment=store:x",
        "/v1/stores",
        "/v1/funnel",
        "/v1/answers",
        "/v1/answers?words=coffee",
        "/v1/decisions",
        "/v1/mailbox",
        "/v1/invitations",
    ),
)
COUNTERS = ("buckets", "invited", "journeys")  # they grow with days and stores, and a score of all time reads them all


async def test_no_statement_reads_a_whole_large_table(
    postgres: embedded.Embedded, urls: Mapping[str, str], tmp_path: Path
) -> None:
    with query_plans.captured() as sent:
        async with open_stage(urls, tmp_path, answer_client_rate=10**9, answer_client_burst=10**9) as stage:
            await _two_months(stage)
            await _retention(urls["scoring"], stage)
    wrong = []
    async with _large_tables(postgres, urls) as (large, connections):
        for statement in sent:
            sql = " ".join(statement.sql.split())
            tables = await query_plans.scanned(connections[statement.role], statement, large)
            wrong += [f"{', '.join(sorted(tables))}: {sql}"] if tables else []

    assert len(set(large.values())) >= 10
    assert len(list(sent)) >= 80
    assert not wrong, "\n".join(wrong)


async def _two_months(stage: Stage) -> None:
    """Ask customers and let their surveys end; then ask some more and look at the pages."""
    shop = Shop(stage, stage.clock, Asked.HALF)
    await shop.open()
    await shop.answer((await shop.sell(EVENTS - 40))[::2])
    for days in (4, 4, 22):
        await stage.after(days=days)
    await shop.answer((await shop.sell(40))[::2])
    for page in PAGES:
        (await stage.web.get(stage.scoring + page)).raise_for_status()


async def _retention(url: str, stage: Stage) -> None:
    """Delete some surveys, and take it back: the tables must stay as large as they are.

    The rest runs as after that: almost nothing is past retention.
    """
    now = stage.clock.now()
    limit = RetentionLimit(datetime.now(UTC), bought=now, now=now)
    rest = replace(limit, made=limit.made - timedelta(days=400), bought=now - timedelta(days=400))
    database = db.Database(url, schema="scoring", pool_size=1)
    async with database.sessions() as session:
        page = await dropping.asked(session, limit, after=NIL, most=5)
        assert len(await dropping.drop(session, page, are_imported=False)) == 5
        await dropping.drop(session, await dropping.imported(session, rest, after=NIL, most=5), are_imported=True)
        await dropping.sweep(session, rest)
        await dropping.drop_purchases(session, rest, most=5)
        await session.rollback()
    await database.close()


async def test_a_scan_of_a_large_table_is_found(postgres: embedded.Embedded, urls: Mapping[str, str]) -> None:
    scan = Statement("trigger", "SELECT FROM months WHERE word = $1", ("w",))
    lookup = Statement("trigger", "UPDATE months SET word = $2 WHERE id = ANY($1::int[])", ([1, 2, 3], "w"))
    admin = await _admin(postgres, urls)
    for sql in _MONTHS:
        await admin.execute(sql)
    await admin.close()

    async with _large_tables(postgres, urls) as (large, connections):
        assert await query_plans.scanned(connections["trigger"], scan, large) == {"trigger.months"}
        assert await query_plans.scanned(connections["trigger"], lookup, large) == set()


_MONTHS = (
    "CREATE TABLE trigger.months (id int PRIMARY KEY, word text) PARTITION BY RANGE (id)",
    "CREATE TABLE trigger.january PARTITION OF trigger.months FOR VALUES FROM (0) TO (300)",
    "CREATE TABLE trigger.february PARTITION OF trigger.months FOR VALUES FROM (300) TO (600)",
    "INSERT INTO trigger.months SELECT n, 'w' || n % 20 FROM generate_series(1, 500) n",
    "ALTER TABLE trigger.months OWNER TO trigger",
    "ALTER TABLE trigger.january OWNER TO trigger",
    "ALTER TABLE trigger.february OWNER TO trigger",
)


async def _admin(postgres: embedded.Embedded, urls: Mapping[str, str]) -> asyncpg.Connection:
    name = database_url.parse(urls["trigger"]).database
    return await database_url.connect(database_url.parse(postgres.admin_url).of(database=name))


@asynccontextmanager
async def _large_tables(
    postgres: embedded.Embedded, urls: Mapping[str, str]
) -> AsyncIterator[tuple[Mapping[str, str], Mapping[str, asyncpg.Connection]]]:
    """Enlarge the tables that grow with the events; yield their names, and a connection as each service has it."""
    admin = await _admin(postgres, urls)
    factor = LIKE_EVENTS / EVENTS
    large = await query_plans.enlarge(admin, list(urls), factor=factor, least=EVENTS // 10, without=COUNTERS)
    connections = {str(service): await db.Database(urls[service], schema=service).connect() for service in Service}
    yield large, connections
    for connection in (admin, *connections.values()):
        await connection.close()
