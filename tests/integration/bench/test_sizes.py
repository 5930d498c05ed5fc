"""The bytes of tables, as `make bench STAGE=bytes` counts them."""

from __future__ import annotations

from collections.abc import Mapping

from shared import database_url
from shared.database import embedded
from tests.bench import sizes
from tests.bench.sizes import TableName

_TABLES = """
CREATE TABLE trigger.months (id int, month int, words text) PARTITION BY LIST (month);
CREATE INDEX months_id ON trigger.months (id);
CREATE TABLE trigger.january PARTITION OF trigger.months FOR VALUES IN (1);
CREATE TABLE trigger.february PARTITION OF trigger.months FOR VALUES IN (2);
ALTER TABLE trigger.months ALTER words SET STORAGE EXTERNAL;
ALTER TABLE trigger.january ALTER words SET STORAGE EXTERNAL;
"""
_ROWS = "INSERT INTO trigger.months SELECT n, n % 2 + 1, repeat('x', 5000) FROM generate_series(1, 1000) n"
_ALL = """SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relname IN ('january', 'february')"""


async def test_partitions_count_for_their_table(postgres: embedded.Embedded, urls: Mapping[str, str]) -> None:
    name = database_url.parse(urls["trigger"]).database
    admin = await database_url.connect(database_url.parse(postgres.admin_url).of(database=name))
    await admin.execute(_TABLES)
    before = await sizes.measure(admin, urls)
    await admin.execute(_ROWS)

    grown = sizes.grown(before, await sizes.measure(admin, urls))

    months = grown[TableName("trigger", "months")]
    assert before[TableName("trigger", "months")].total + months.total == await admin.fetchval(_ALL)
    assert months.rows == 1000
    assert months.toast > 500 * 5000
    assert list(months.indexes) == ["months_id"]
    assert TableName("trigger", "january") not in grown
    assert not any(size.total for table, size in grown.items() if table.name != "months")
    await admin.close()


_HASHED = """
CREATE TABLE trigger.hashed AS SELECT n::text AS id FROM generate_series(1, 5000) n;
CREATE INDEX hashed_id ON trigger.hashed USING hash (id);
"""


async def test_hash_index_is_written_all_over(postgres: embedded.Embedded, urls: Mapping[str, str]) -> None:
    name = database_url.parse(urls["trigger"]).database
    admin = await database_url.connect(database_url.parse(postgres.admin_url).of(database=name))
    await admin.execute(_HASHED)
    await sizes.measure(admin, urls)
    assert (await sizes.growth(admin, urls)).scattered == ["trigger.hashed_id"]
    await admin.close()
