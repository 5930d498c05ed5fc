"""Runs Alembic for one schema, from an event loop, and safely when several processes start at once.

A migration folder has `env.py` (which calls `scripts.run`), `versions/`, and the tables of each revision in
`catalogues/`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import schema
from shared.database.db import Database, lock_number
from shared.database.schema import Migrations, RevisionRecord, SchemaState
from shared.messaging.inbox import inbox_table
from shared.messaging.outbox import outbox_table
from shared.messaging.parking import parked_table
from shared.messaging.relay_leadership import leases_table

log = structlog.get_logger()

LOCK_TIMEOUT = "5s"


def messaging_tables(metadata: sa.MetaData) -> None:
    """Add outbox, leases, inbox and parked to a service's tables."""
    outbox_table(metadata)
    leases_table(metadata)
    inbox_table(metadata)
    parked_table(metadata)


class Upgraded(NamedTuple):
    """A schema's revision before, None for an empty schema, and its fingerprint after."""

    earlier: str | None
    fingerprint: str

    def __str__(self) -> str:
        if self.earlier == self.fingerprint.partition("-")[0]:
            return f"unchanged, {self.fingerprint}"
        return f"{self.earlier or 'empty'} → {self.fingerprint}"


class ModelsDiffer(Exception):
    """The models and the migrations make different tables: write the missing migration."""


async def upgrade(database: Database, folder: Path, *, to: str = "head") -> Upgraded:
    """Bring a schema to the newest revision; concurrent callers wait for the first.

    Raises SchemaUnfit when the schema was edited by hand, or is one of a newer version that this code cannot use.
    """
    migrations = Migrations(folder)
    async with _alone(database) as connection:
        state = await schema.read_state(connection, database.schema)
        earlier = state.revision
        migrations.check_unedited(state)
        if not migrations.knows(state):
            log.info("schema.newer", schema=state.schema, revision=state.revision)
            return Upgraded(earlier, state.fingerprint)
        if state.revision != (migrations.head if to == "head" else to):
            await _run(connection, folder, "upgrade", to=to)
            state = await schema.read_state(connection, database.schema)
            migrations.check_unedited(state)
        await _record(connection, folder, state)
    return Upgraded(earlier, state.fingerprint)


async def _record(connection: AsyncConnection, folder: Path, state: SchemaState) -> None:
    assert state.revision is not None
    migrations = Migrations(folder)
    expected = RevisionRecord(migrations.oldest_reader(state.revision), migrations.catalogue(state.revision))
    if expected != state.record:
        await schema.store_record(connection, state.revision, expected)
        await connection.commit()


async def round_trip(database: Database, folder: Path) -> None:
    """Upgrade an empty schema, compare it with the models, downgrade and upgrade it again."""
    await upgrade(database, folder)
    async with _alone(database) as connection:
        await _run(connection, folder, "check")
        await _run(connection, folder, "downgrade", to="base")
    await upgrade(database, folder)


async def write_catalogue(database: Database, folder: Path) -> None:
    """Write the catalogue file of the newest revision."""
    migrations = Migrations(folder)
    async with _alone(database) as connection:
        await _run(connection, folder, "upgrade")
        state = await schema.read_state(connection, database.schema)
    migrations.path(migrations.head).parent.mkdir(exist_ok=True)
    migrations.path(migrations.head).write_text(state.catalogue.text)


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[AsyncConnection]:
    """Hold the lock of a schema's migrations, and create the schema if it is missing."""
    number = lock_number("migrate", database.schema)
    async with database.engine.connect() as connection:
        await connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": number})
        try:
            await connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            if not await connection.scalar(sa.text("SELECT to_regnamespace(:name)"), {"name": database.schema}):
                await connection.execute(sa.text(f"CREATE SCHEMA {database.schema}"))
            await connection.commit()
            yield connection
            await connection.commit()
        finally:
            await connection.rollback()
            await connection.execute(sa.text("SELECT pg_advisory_unlock(:number)"), {"number": number})
            await connection.execute(sa.text("RESET lock_timeout"))
            await connection.commit()


async def _run(
    connection: AsyncConnection, folder: Path, command: Literal["upgrade", "downgrade", "check"], *, to: str = "head"
) -> None:
    from shared.migrations import scripts  # noqa: PLC0415 - Alembic is loaded only where a schema has to change

    await connection.commit()  # Alembic begins its own transaction
    await connection.run_sync(partial(scripts.COMMANDS[command], folder=folder, to=to))
    await connection.commit()
