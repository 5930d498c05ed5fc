"""The bytes of WAL of each schema, read with pg_waldump: a record is counted for the table or the transaction it names.

A transaction writes to one schema, because every service has its own. `full_pages` are the bytes of page images, which
depend on how often a checkpoint comes.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

_RECORD = re.compile(rb"len \(rec/tot\): *(\d+)/ *(\d+), tx: *(\d+),")
_RELATION = re.compile(rb"rel \d+/\d+/(\d+)")
_FILES = """SELECT pg_relation_filenode(c.oid) AS file, n.nspname AS schema FROM pg_class c
LEFT JOIN (SELECT reltoastrelid, relnamespace FROM pg_class WHERE reltoastrelid > 0) AS owner
    ON owner.reltoastrelid IN (c.oid, (SELECT indrelid FROM pg_index WHERE indexrelid = c.oid))
JOIN pg_namespace n ON n.oid = coalesce(owner.relnamespace, c.relnamespace)
WHERE pg_relation_filenode(c.oid) IS NOT NULL"""
_WHERE = """SELECT current_setting('data_directory') AS folder,
(SELECT setting FROM pg_config WHERE name = 'BINDIR') AS programs"""
OTHER = "PostgreSQL itself"


class CannotRead(Exception):
    """pg_waldump failed; the text is its message."""


@dataclass(slots=True)
class WalBytes:
    """Bytes by schema, those of page images included, and the page images alone."""

    by_schema: Counter[str] = field(default_factory=Counter)
    full_pages: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class WalMeter:
    """Reads what was written between two points of the WAL; the server must keep it (wal_keep_size)."""

    admin: asyncpg.Connection
    _files: dict[int, str] = field(default_factory=dict)

    async def position(self) -> str:
        """Return the current point of the WAL; files are noted, because a table may be dropped before it is read."""
        self._files |= {row["file"]: row["schema"] for row in await self.admin.fetch(_FILES)}
        lsn: str = await self.admin.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        return lsn

    async def since(self, start: str) -> WalBytes:
        """Return the bytes written since `start`; raises CannotRead."""
        end = await self.position()
        await self.admin.execute("SELECT pg_switch_wal()")  # so that the last record is on disk
        where = await self.admin.fetchrow(_WHERE)
        assert where is not None
        command = (
            str(Path(where["programs"]) / "pg_waldump"),
            "-p",
            f"{where['folder']}/pg_wal",
            "-s",
            start,
            "-e",
            end,
        )
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, limit=1 << 24)
        assert process.stdout is not None
        assert process.stderr is not None
        counted = await _count(process.stdout, self._files)
        error = await process.stderr.read()
        if await process.wait():
            raise CannotRead(error.decode())
        return counted


async def _count(lines: asyncio.StreamReader, files: Mapping[int, str]) -> WalBytes:
    counted, owners = WalBytes(), dict[bytes, str]()
    async for line in lines:
        record = _RECORD.search(line)
        if record is None:
            continue
        logged, total, transaction = record.groups()
        relation = _RELATION.search(line)
        schema = files.get(int(relation.group(1)), OTHER) if relation else owners.get(transaction, OTHER)
        if relation and schema != OTHER and transaction != b"0":
            owners[transaction] = schema
        counted.by_schema[schema] += int(total)
        counted.full_pages[schema] += int(total) - int(logged)
    return counted
