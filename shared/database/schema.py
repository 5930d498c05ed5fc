"""Checks that this code works on a schema: its revision is known, and its tables match the revision's catalogue.

A folder of migrations holds the catalogue of each revision in `catalogues/`. A revision of a newer version is not in
that folder: its catalogue, and the oldest revision whose code works on it, are read from the database, where the newer
version stored them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.db import Database
from shared.health import NotReady

RECORD = "schema_revisions"
_SHOWN = 3  # differences named in one sentence
_HARMLESS = "index CREATE INDEX "  # an additional index that is not unique rejects no row

_STATE = sa.text("SELECT to_regclass(:schema || '.alembic_version'), to_regclass(:schema || '.schema_revisions')")
_CATALOGUE = sa.text("""
WITH relations AS (
    SELECT oid, relname FROM pg_class WHERE relnamespace = to_regnamespace(:schema) AND relkind IN ('r', 'p', 'v', 'm')
    AND NOT relispartition AND relname NOT IN ('alembic_version', 'schema_revisions')
), lines AS (
    SELECT relname, 'column ' || attname || ' ' || format_type(atttypid, atttypmod)
        || CASE WHEN attnotnull THEN ' not null' ELSE '' END
        || CASE attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END
        || CASE WHEN attgenerated = '' THEN '' ELSE ' generated' END
        || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') AS line
    FROM relations JOIN pg_attribute ON attrelid = relations.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT relname, 'constraint ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
    FROM relations JOIN pg_constraint ON conrelid = relations.oid AND contype IN ('p', 'u', 'f', 'c', 'x')
    UNION ALL
    SELECT relname, 'index ' || pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' invalid' END
    FROM relations JOIN pg_index ON indrelid = relations.oid
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
)
SELECT relname || ' ' || replace(line, quote_ident(:schema) || '.', '') FROM lines""")
_OLDEST_READER = sa.text("SELECT oldest_reader, catalogue FROM schema_revisions WHERE revision = :revision")
_WRITTEN_READER = re.compile(r'^oldest_reader = "(\w+)"', re.MULTILINE)
_MAKE_RECORD = sa.text("""CREATE TABLE IF NOT EXISTS schema_revisions (revision text PRIMARY KEY,
oldest_reader text NOT NULL, catalogue text NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp())""")
_REMEMBER = sa.text("""INSERT INTO schema_revisions (revision, oldest_reader, catalogue)
VALUES (:revision, :oldest_reader, :catalogue) ON CONFLICT (revision) DO UPDATE
SET oldest_reader = excluded.oldest_reader, catalogue = excluded.catalogue""")


class SchemaUnfit(NotReady):
    """This version of the code cannot work on the schema; the text says why and what to do."""


class SchemaOlder(SchemaUnfit):
    """Migrations of the schema have not run yet: run `earshot migrate`."""


class CatalogueMissing(Exception):
    """A new revision has no catalogue file yet: run `earshot migrate --write`."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Columns, constraints and indexes of a schema's tables and views: one line each, led by the table.

    Partitions are left out: they come and go, and have what their table has.
    """

    lines: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Catalogue:
        return cls(frozenset(text.splitlines()))

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in sorted(self.lines))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def differences(self, found: Catalogue) -> list[str]:
        """List what `found` lacks and what it has in addition, except tables and indexes that are not unique."""
        ours = {_table(line) for line in self.lines}
        more = {line for line in found.lines - self.lines if _table(line) in ours}
        lacking = [f"lacks {line}" for line in sorted(self.lines - found.lines)]
        return lacking + [f"has {line}" for line in sorted(more) if not line.partition(" ")[2].startswith(_HARMLESS)]


def _table(line: str) -> str:
    return line.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """What a migration stores with its revision.

    `oldest_reader` is the oldest revision whose code works on the schema, `catalogue` its tables, columns and indexes.
    """

    oldest_reader: str
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Revision and catalogue of a schema as found in the database; `revision` is None before the first migration."""

    schema: str
    revision: str | None
    catalogue: Catalogue
    record: RevisionRecord | None

    @property
    def fingerprint(self) -> str:
        return f"{self.revision}-{self.catalogue.fingerprint}"


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions of one schema that this code knows, oldest first."""

    folder: Path

    @property
    def revisions(self) -> list[str]:
        return sorted(path.name.partition("_")[0] for path in (self.folder / "versions").glob("[0-9]*.py"))

    @property
    def head(self) -> str:
        return self.revisions[-1]

    def path(self, revision: str) -> Path:
        return self.folder / "catalogues" / f"{revision}.txt"

    def catalogue(self, revision: str) -> Catalogue:
        try:
            return Catalogue.of(self.path(revision).read_text())
        except FileNotFoundError as error:
            raise CatalogueMissing(f"{self.path(revision)} is missing: run `earshot migrate --write`") from error

    def oldest_reader(self, revision: str) -> str:
        """Return the oldest revision whose code works on the schema of this one, as its script says."""
        [path] = (self.folder / "versions").glob(f"{revision}_*.py")
        written = _WRITTEN_READER.search(path.read_text())
        assert written is not None, path
        return written[1]

    def knows(self, state: SchemaState) -> bool:
        return state.revision is None or state.revision in self.revisions

    def check(self, state: SchemaState) -> None:
        """Raise SchemaOlder or SchemaUnfit unless this code works on the schema."""
        if self.knows(state) and state.revision != self.head:
            at = f"at revision {state.revision}" if state.revision else "empty"
            raise SchemaOlder(
                f"schema {state.schema} is {at} and this version needs {self.head}; run `earshot migrate`"
            )
        self.check_unedited(state)

    def check_unedited(self, state: SchemaState) -> None:
        """Raise SchemaUnfit if the schema differs from what the migrations up to its revision make."""
        if state.revision is None:
            return
        expected = self.catalogue(state.revision) if self.knows(state) else self._of_newer(state)
        if differences := expected.differences(state.catalogue):
            raise SchemaUnfit(
                f"schema {state.schema} is not what its migrations make at revision {state.revision}: it "
                f"{_in_short(differences)}; restore it from a backup, or undo these differences by hand"
            )

    def _of_newer(self, state: SchemaState) -> Catalogue:
        if state.record is None or state.record.oldest_reader > self.head:
            raise SchemaUnfit(
                f"schema {state.schema} is at revision {state.revision}, made by a newer version of Earshot, and "
                f"this one knows up to {self.head}, which cannot work on it; start the newer version"
            )
        return state.record.catalogue


def _in_short(differences: Iterable[str]) -> str:
    listed = list(differences)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(f"“{each}”" for each in listed[:_SHOWN]) + more


async def read_state(connection: AsyncConnection, schema: str) -> SchemaState:
    """Read the revision, the catalogue and the stored record of a schema."""
    migrated, recorded = (await connection.execute(_STATE, {"schema": schema})).one()
    revision = await connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if migrated else None
    lines = (await connection.scalars(_CATALOGUE, {"schema": schema})).all()
    record = await _recorded(connection, revision) if recorded and revision else None
    return SchemaState(schema, revision, Catalogue(frozenset(lines)), record)


async def _recorded(connection: AsyncConnection, revision: str) -> RevisionRecord | None:
    row = (await connection.execute(_OLDEST_READER, {"revision": revision})).one_or_none()
    return RevisionRecord(row.oldest_reader, Catalogue.of(row.catalogue)) if row else None


async def store_record(connection: AsyncConnection, revision: str, what: RevisionRecord) -> None:
    """Store a revision's catalogue and its oldest reader, for older versions that do not know the revision."""
    await connection.execute(_MAKE_RECORD)
    await connection.execute(
        _REMEMBER,
        {"revision": revision, "oldest_reader": what.oldest_reader, "catalogue": what.catalogue.text},
    )


async def fingerprint(database: Database, folder: Path) -> str:
    """Return revision and fingerprint of a schema that this code works on; raises SchemaOlder and SchemaUnfit."""
    async with database.engine.connect() as connection:
        state = await read_state(connection, database.schema)
    Migrations(folder).check(state)
    return state.fingerprint


async def check(database: Database, folder: Path) -> None:
    """Raise SchemaOlder or SchemaUnfit unless this code works on the schema."""
    await fingerprint(database, folder)
