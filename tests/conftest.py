"""One PostgreSQL per test process, one migrated template, one database per test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy import databases
from shared import database_url, logging
from shared.database import db, embedded

pytest_plugins = ["tests.browser", "tests.kafka_broker"]

TEMPLATE = "template_earshot"

# no keys that somebody's own installation made
os.environ["EARSHOT_DATA_DIR"] = str(Path(tempfile.gettempdir()) / "earshot-tests-have-no-data-folder")

logging.configure("warning", service="tests")  # as in production: constant text and ids, no values


def _short_folder() -> str:
    """Return where the server keeps its data: in memory if there is room, where copies of a database take a fifth."""
    memory = Path("/dev/shm")  # noqa: S108 - only this process reads what is made in it
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30 else "/tmp"  # noqa: S108


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.Embedded]:
    folder = Path(tempfile.mkdtemp(prefix="es-", dir=_short_folder()))
    server = embedded.start(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def template(postgres: embedded.Embedded) -> str:
    admin = await database_url.connect(postgres.admin_url)
    for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '256MB'"):
        await admin.execute(f"ALTER SYSTEM SET {setting}")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    urls = await embedded.prepare(postgres, TEMPLATE)
    await databases.migrate(urls)
    return TEMPLATE


@asynccontextmanager
async def _copy(postgres: embedded.Embedded, template: str) -> AsyncIterator[Mapping[str, str]]:
    name = f"t{uuid4().hex[:12]}"
    admin = await database_url.connect(postgres.admin_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield postgres.urls(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def urls(postgres: embedded.Embedded, template: str) -> AsyncIterator[Mapping[str, str]]:
    """A fresh migrated database: one URL per schema."""
    async with _copy(postgres, template) as fresh:
        yield fresh


@pytest.fixture
async def other_urls(postgres: embedded.Embedded, template: str) -> AsyncIterator[Mapping[str, str]]:
    """A second one, to compare with."""
    async with _copy(postgres, template) as fresh:
        yield fresh


@pytest.fixture
def transport_url(urls: Mapping[str, str]) -> str:
    return urls["transport"]


async def _database(urls: Mapping[str, str], schema: str) -> AsyncIterator[db.Database]:
    database = db.Database(urls[schema], schema=schema)
    yield database
    await database.close()


@pytest.fixture
async def trigger_db(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    async for database in _database(urls, "trigger"):
        yield database


@pytest.fixture
async def dispatcher_db(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    async for database in _database(urls, "dispatcher"):
        yield database


@pytest.fixture
async def scoring_db(urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    async for database in _database(urls, "scoring"):
        yield database
