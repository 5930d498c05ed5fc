"""The bytes that every table of a database takes, found by the catalogue: heap, TOAST and each index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

# Partitions count for their parent, and their indexes for the parent's index.
_SIZES = """WITH stored AS (
    SELECT n.nspname AS schema, coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root, c.*
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname = ANY($1::text[])
)
SELECT schema, root::regclass::text AS name, 'heap' AS part, '' AS index,
    pg_table_size(oid) - coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0) AS bytes, reltuples AS rows
FROM stored
UNION ALL SELECT schema, root::regclass::text, 'toast', '', pg_total_relation_size(reltoastrelid), 0
FROM stored WHERE reltoastrelid > 0
UNION ALL SELECT schema, root::regclass::text, 'index', coalesce(pg_partition_root(i.indexrelid)::oid, i.indexrelid)
    ::regclass::text, pg_relation_size(i.indexrelid), 0
FROM stored JOIN pg_index i ON i.indrelid = stored.oid"""


# Indexes by a column of many values whose order is not that of the rows, as in any hash index; an expression has
# statistics of its own.
_SCATTERED = """SELECT DISTINCT n.nspname || '.' || c.relname AS name FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam AND am.amname IN ('btree', 'hash')
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attnum > 0
JOIN pg_attribute own ON own.attrelid = c.oid AND own.attnum = 1
JOIN pg_stats s ON s.schemaname = n.nspname
    AND s.tablename = CASE WHEN a.attnum IS NULL THEN c.relname ELSE t.relname END
    AND s.attname = coalesce(a.attname, own.attname)
WHERE n.nspname = ANY($1::text[]) AND (am.amname = 'hash' OR abs(s.correlation) < 0.5) AND s.n_distinct < -0.1"""
_SEQUENCES = """SELECT schemaname || '.' || sequencename AS name, max_value, last_value FROM pg_sequences
WHERE schemaname = ANY($1::text[]) AND last_value IS NOT NULL"""
_TRANSACTIONS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class TableName(NamedTuple):
    schema: str
    name: str


@dataclass(slots=True)
class TableSize:
    """Bytes of one table with all its partitions, and its rows as ANALYZE estimated them."""

    rows: float = 0
    heap: int = 0
    toast: int = 0
    indexes: dict[str, int] = field(default_factory=dict)
    partitions: int = 0

    @property
    def total(self) -> int:
        return self.heap + self.toast + sum(self.indexes.values())

    def since(self, before: TableSize) -> TableSize:
        """Return what was added after `before`."""
        indexes = {name: size - before.indexes.get(name, 0) for name, size in self.indexes.items()}
        rows, heap, toast = self.rows - before.rows, self.heap - before.heap, self.toast - before.toast
        return TableSize(rows, heap, toast, indexes, self.partitions)


Sizes = Mapping[TableName, TableSize]


async def measure(admin: asyncpg.Connection, schemas: Iterable[str]) -> Sizes:
    """VACUUM the database and return the size of every table of these schemas."""
    await admin.execute("VACUUM (ANALYZE)")
    await admin.execute("SET search_path = pg_catalog")  # so that regclass names the schema
    sizes: defaultdict[TableName, TableSize] = defaultdict(TableSize)
    for row in await admin.fetch(_SIZES, list(schemas)):
        size = sizes[TableName(row["schema"], _bare(row["name"]))]
        size.rows += max(row["rows"], 0)
        match row["part"]:
            case "heap":
                size.heap += row["bytes"]
                size.partitions += 1
            case "toast":
                size.toast += row["bytes"]
            case _:
                index = _bare(row["index"])
                size.indexes[index] = size.indexes.get(index, 0) + row["bytes"]
    return sizes


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows besides bytes: transaction numbers, sequences, and which indexes are written all over.

    `scattered` are indexes whose next entry may be on any page, so that all of them has to be in memory; `sequences`
    are the last value and the highest possible value by name.
    """

    transactions: int
    scattered: list[str]
    sequences: dict[str, tuple[int, int]]


async def growth(admin: asyncpg.Connection, schemas: Iterable[str]) -> Growth:
    """Read it from the catalogue, after `measure`."""
    names = list(schemas)
    scattered = sorted(row["name"] for row in await admin.fetch(_SCATTERED, names))
    sequences = {row["name"]: (row["last_value"], row["max_value"]) for row in await admin.fetch(_SEQUENCES, names)}
    return Growth(await admin.fetchval(_TRANSACTIONS), scattered, sequences)


def grown(before: Sizes, after: Sizes) -> Sizes:
    """Return what each table of `after` has more than in `before`."""
    return {name: size.since(before.get(name, TableSize())) for name, size in after.items()}


def _bare(name: str) -> str:
    return name.rpartition(".")[2]
