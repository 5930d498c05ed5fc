"""A migration that dies at one of its commands is begun again, and makes the schema of one that was not disturbed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa

from deploy.databases import MIGRATIONS, ROOT
from shared import database_url, migrations
from shared.database import embedded, schema
from shared.database.db import Database
from shared.database.schema import Migrations, SchemaState
from tests.integration.deploy.test_cli import earshot
from tests.upgrade.versions import until

# Counts the commands that change the schema, and does `{action}` after the one with the given number. The counter is a
# sequence, because it must not be rolled back.
_STOP = """CREATE SCHEMA stop; CREATE SEQUENCE stop.commands; CREATE TABLE stop.after (command bigint);
INSERT INTO stop.after VALUES (0);
CREATE FUNCTION stop.here() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF nextval('stop.commands') = (SELECT command FROM stop.after) THEN PERFORM {action}; END IF;
END $$;
CREATE EVENT TRIGGER stop ON ddl_command_end EXECUTE FUNCTION stop.here()"""
_DIE = "pg_terminate_backend(pg_backend_pid())"
_WAIT = "pg_advisory_lock(4711)"
_IS_WAITING = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"


@pytest.fixture
async def empty(postgres: embedded.Embedded) -> Mapping[str, str]:
    """A database whose schemas have no tables."""
    return await embedded.prepare(postgres, f"h{uuid4().hex[:12]}")


@asynccontextmanager
async def _admin(postgres: embedded.Embedded, url: str) -> AsyncIterator[asyncpg.Connection]:
    name = database_url.parse(url).database
    admin = await database_url.connect(database_url.parse(postgres.admin_url).of(database=name))
    try:
        yield admin
    finally:
        await admin.close()


async def _stop_after(admin: asyncpg.Connection, commands: int) -> None:
    await admin.execute("UPDATE stop.after SET command = $1", commands)
    await admin.execute("SELECT setval('stop.commands', 1, false)")


async def _state(database: Database) -> SchemaState:
    async with database.engine.connect() as connection:
        return await schema.read_state(connection, database.schema)


@pytest.mark.parametrize(("name", "folder"), MIGRATIONS.items(), ids=MIGRATIONS)
async def test_upgrade_that_dies_again_and_again_ends_at_the_newest_revision(
    postgres: embedded.Embedded, empty: Mapping[str, str], name: str, folder: Path
) -> None:
    """Every revision is tried until it may run enough commands, 1, 2, 4 and so on."""
    known, database = Migrations(folder), Database(empty[name], schema=name, pool_size=2)
    died: list[str] = []
    async with _admin(postgres, empty[name]) as admin:
        await admin.execute(_STOP.format(action=_DIE))
        for revision in known.revisions:
            for power in count():
                await _stop_after(admin, 2**power)
                try:
                    await migrations.upgrade(database, folder, to=revision)
                except (sa.exc.DBAPIError, asyncpg.PostgresError, OSError):
                    died.append(revision)
                else:
                    break
    state = await _state(database)
    await database.close()
    assert state.revision == known.head
    assert state.catalogue.text == known.path(known.head).read_text()
    assert set(died) == set(known.revisions)


async def test_process_that_was_killed_within_a_revision_is_followed_by_one_that_ends_it(
    postgres: embedded.Embedded, empty: Mapping[str, str]
) -> None:
    folder, database = MIGRATIONS["scoring"], Database(empty["scoring"], schema="scoring", pool_size=1)
    await migrations.upgrade(database, folder, to="0004")
    settings = {"EARSHOT_MIGRATE_URL": empty["scoring"]}
    async with _admin(postgres, empty["scoring"]) as admin:
        await admin.execute(_STOP.format(action=_WAIT))
        await _stop_after(admin, 5)
        await admin.execute("SELECT pg_advisory_lock(4711)")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "migrate", "scoring"),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **settings},
            stdout=subprocess.DEVNULL,
        )

        async def is_waiting() -> bool:
            return bool(await admin.fetchval(_IS_WAITING))

        await until(is_waiting)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await admin.execute("SELECT pg_advisory_unlock(4711)")
    assert (await _state(database)).revision == "0004"
    assert (await earshot("migrate", "scoring", **settings))[0] == 0
    state = await _state(database)
    await database.close()
    assert state.catalogue.text == Migrations(folder).path(state.revision or "").read_text()
    assert state.revision == Migrations(folder).head
