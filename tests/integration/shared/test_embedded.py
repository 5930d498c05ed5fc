"""The embedded PostgreSQL: a schema and a role per service, and a one-line error when it cannot start."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

from deploy import databases
from shared import database_url
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database import embedded


async def test_no_service_reads_anothers_tables(urls: Mapping[str, str]) -> None:
    trigger = await database_url.connect(urls["trigger"])
    try:
        assert await trigger.fetchval("SELECT count(*) FROM trigger.decisions") == 0
        for table in ("scoring.answers", "dispatcher.invitations", "transport.messages"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await trigger.fetchval(f"TABLE {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await trigger.execute("CREATE TABLE public.shared (id int)")
    finally:
        await trigger.close()


async def test_ten_processes_may_migrate_at_once(postgres: embedded.Embedded) -> None:
    urls = await embedded.prepare(postgres, "migrated_at_once")
    environment = {f"EARSHOT_{service.upper()}_DATABASE_URL": urls[service] for service in Service}
    environment |= {"EARSHOT_EVENTS_URL": "kafka://127.0.0.1:1", "PATH": os.environ["PATH"]}
    command = (sys.executable, "-m", "deploy.cli", "migrate")
    processes = [await asyncio.create_subprocess_exec(*command, env=environment, cwd=databases.ROOT) for _ in range(10)]
    assert {await process.wait() for process in processes} == {0}
    for service in Service:
        migrated = await database_url.connect(urls[service])
        assert await migrated.fetchval("SELECT count(*) FROM alembic_version") == 1
        assert await migrated.fetchval("SELECT count(*) FROM outbox") == 0
        await migrated.close()


def test_folder_with_something_else_in_it_is_one_line_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "what-is-this").write_text("not a database")
    with pytest.raises(embedded.CannotStart, match="move the folder away"):
        embedded.start(tmp_path)


def test_folder_that_cannot_be_made_is_one_line_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(embedded.CannotStart, match="EARSHOT_DATA_DIR"):
        embedded.start(tmp_path / "a-file" / "postgres")


@pytest.mark.parametrize("locale", ["", "C", "zz_ZZ.UTF-8"])
async def test_letters_are_letters_under_every_locale_of_the_machine(
    locale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("LANG", locale)
    folder = Path(tempfile.mkdtemp(prefix="es-", dir="/tmp"))
    server = embedded.start(folder)
    try:
        urls = await embedded.prepare(server)
        connection = await database_url.connect(urls["scoring"])
        assert await connection.fetchval("SELECT lower('ЖДАЛА')") == "ждала"
        assert await connection.fetchval("SELECT to_tsvector('russian', 'Целый ЧАС') @@ to_tsquery('russian', 'часы')")
        await connection.close()
    finally:
        server.stop()
        shutil.rmtree(folder)
    assert os.environ["LC_ALL"] == locale


async def test_restarted_server_keeps_what_was_committed_and_is_stopped_like_any_other() -> None:
    folder = Path(tempfile.mkdtemp(prefix="es-", dir="/tmp"))
    server = embedded.start(folder)
    for crash in (False, True):
        connection = await database_url.connect(server.admin_url)
        await connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one")
        server.restart(crash=crash)
        assert connection.is_closed() or not await _answers(connection)
    again = await database_url.connect(server.admin_url)
    assert await again.fetchval("SELECT one FROM kept") == 1
    await again.close()
    server.stop()
    with pytest.raises(OSError, match="No such file"):
        await database_url.connect(server.admin_url)
    shutil.rmtree(folder)


async def _answers(connection: asyncpg.Connection) -> bool:
    try:
        await connection.fetchval("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False
    return True


@pytest.mark.parametrize(
    ("own", "starts"),
    [
        ({}, True),
        ({"scoring_database_url": "postgresql://elsewhere/x"}, True),
        ({"database_url": "postgresql://elsewhere/x"}, False),
        ({"environment": "production"}, False),
    ],
)
def test_server_of_the_folder_starts_beside_other_work_if_a_schema_needs_it(
    tmp_path: Path, *, own: dict[str, str], starts: bool
) -> None:
    embedded.start(tmp_path / "postgres").stop()
    settings = Settings(data_dir=tmp_path, **own)  # type: ignore[arg-type]
    with embedded.starting(["scoring", "trigger"], settings):
        pass
    assert (tmp_path / "postgres/postmaster.pid").exists() is starts
    if starts:
        embedded.start(tmp_path / "postgres").stop()


def test_server_of_a_new_folder_is_made_beside_other_work(tmp_path: Path) -> None:
    with embedded.starting(["trigger"], Settings(data_dir=tmp_path / "new")):
        pass
    assert (tmp_path / "new/postgres/postmaster.pid").exists()
    embedded.start(tmp_path / "new/postgres").stop()
