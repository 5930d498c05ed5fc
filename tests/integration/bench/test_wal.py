"""The bytes of WAL of each schema, as `make bench STAGE=bytes` counts them."""

from __future__ import annotations

from collections.abc import Mapping

from shared import database_url
from shared.database import embedded
from tests.bench.wal import WalMeter

ROWS, BYTES = 1000, 5000
_WORDS = """CREATE TABLE trigger.words (id int PRIMARY KEY, word text);
ALTER TABLE trigger.words ALTER word SET STORAGE EXTERNAL; CREATE TABLE scoring.numbers (id int)"""
_WRITE = "INSERT INTO trigger.words SELECT n, repeat('x', $1::int) FROM generate_series(1, $2::int) n"


async def test_wal_counts_for_the_schema_whose_tables_were_written(
    postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    name = database_url.parse(urls["trigger"]).database
    admin = await database_url.connect(database_url.parse(postgres.admin_url).of(database=name))
    await admin.execute(_WORDS)
    meter = WalMeter(admin)
    start = await meter.position()
    await admin.execute(_WRITE, BYTES, ROWS)
    await admin.execute("INSERT INTO scoring.numbers VALUES (1)")

    wal = await meter.since(start)

    assert ROWS * BYTES < wal.by_schema["trigger"] < 1.2 * ROWS * BYTES
    assert 50 < wal.by_schema["scoring"] < 1000
    assert wal.by_schema["dispatcher"] == 0
    await admin.close()
