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

    @property
    def total(self) -> int:
        return self.heap + self.toast + sum(self.indexes.values())

    def since(self, before: TableSize) -> TableSize:
        """Return what was added after `before`."""
        indexes = {name: size - before.indexes.get(name, 0) for name, size in self.indexes.items()}
        return TableSize(self.rows - before.rows, self.heap - before.heap, self.toast - before.toast, indexes)


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
            case "toast":
                size.toast += row["bytes"]
            case _:
                index = _bare(row["index"])
                size.indexes[index] = size.indexes.get(index, 0) + row["bytes"]
    return sizes


def grown(before: Sizes, after: Sizes) -> Sizes:
    """Return what each table of `after` has more than in `before`."""
    return {name: size.since(before.get(name, TableSize())) for name, size in after.items()}


def _bare(name: str) -> str:
    return name.rpartition(".")[2]
