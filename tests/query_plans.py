"""Plans of the statements that the services send, for tables as large as after years of use.

The rows are not stored: PostgreSQL is given the statistics of a larger table. It multiplies the rows of a page, by the
statistics, with the pages that it finds, so only the number of rows is raised.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import sqlalchemy as sa

_EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_TABLES = """SELECT n.nspname || '.' || c.relname AS name, n.nspname || '.' || root.relname AS root, c.reltuples AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class root ON root.oid = coalesce(pg_partition_root(c.oid)::oid, c.oid)
WHERE c.relkind = 'r' AND n.nspname = ANY($1::text[]) AND root.relname <> ALL($2::text[])"""
_RESTORE = """SELECT pg_restore_relation_stats('schemaname', n.nspname::text, 'relname', c.relname::text,
    'relpages', c.relpages, 'reltuples', (c.reltuples * $2::float8)::real)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1::text::regclass OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::text::regclass)"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as a service sent it; `role` is the service's."""

    role: str
    sql: str
    args: tuple[Any, ...]


@dataclass(slots=True)
class SentStatements:
    """The different statements that were sent; of equal ones the last."""

    by_text: dict[tuple[str, str], Statement] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Statement]:
        return iter(list(self.by_text.values()))

    def note(self, logged: Any) -> None:
        """Note what asyncpg logs."""
        if logged.exception is None and logged.query.lstrip().upper().startswith(_EXPLAINED):
            statement = Statement(logged.conn_params.user, logged.query, tuple(logged.args or ()))
            self.by_text[statement.role, statement.sql] = statement


@contextmanager
def captured() -> Iterator[SentStatements]:
    """Note every statement that is sent over pools which connect in the `with` block."""
    sent = SentStatements()

    def listen(connection: Any, _record: object) -> None:
        connection.driver_connection.add_query_logger(sent.note)

    sa.event.listen(sa.pool.Pool, "connect", listen)
    try:
        yield sent
    finally:
        sa.event.remove(sa.pool.Pool, "connect", listen)


async def enlarge(
    admin: asyncpg.Connection, schemas: list[str], *, factor: float, least: int, without: Collection[str] = ()
) -> Mapping[str, str]:
    """Give every table with at least `least` rows, and its indexes, the statistics of a table `factor` times as large.

    Tables named in `without` stay as they are. Return the names of the others by the names of their partitions, each
    with its schema.
    """
    await admin.execute("VACUUM (ANALYZE)")
    tables = await admin.fetch(_TABLES, schemas, list(without))
    rows: Counter[str] = Counter()
    for table in tables:
        rows[table["root"]] += max(table["rows"], 0)
    filled = [table for table in tables if table["rows"] > 0]  # a partition that is empty is scanned at once
    large = {table["name"]: table["root"] for table in filled if rows[table["root"]] >= least}
    for name in large:
        await admin.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        await admin.fetch(_RESTORE, name, factor)
    return large


async def scanned(connection: asyncpg.Connection, statement: Statement, large: Mapping[str, str]) -> set[str]:
    """Return the large tables that the statement's plan reads from beginning to end."""
    explain = f"EXPLAIN (FORMAT JSON, VERBOSE) {statement.sql}"
    [planned] = json.loads(await connection.fetchval(explain, *statement.args))
    read = (f"{node['Schema']}.{node['Relation Name']}" for node in _nodes(planned["Plan"]) if _is_scan(node))
    return {large[name] for name in read if name in large}


def _is_scan(node: Mapping[str, Any]) -> bool:
    return bool(node["Node Type"] == "Seq Scan")


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
