"""The database of each schema: its URL, migrations, connection limits, and waiting until it is migrated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from shared import database_url, migrations
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database import capacity, embedded
from shared.database.capacity import ConnectionCapacity, TooFewConnections
from shared.database.db import Database, fetch, is_transient, retry_outages
from shared.database.opening import open_database
from shared.database.schema import SchemaOlder, check
from shared.database_url import UNLIMITED, DatabaseOptions, Host, NeedsSessions
from shared.waiting import wait_for

log = structlog.get_logger()

RETRY_S = 1.0
ROOT = Path(__file__).parent.parent
TRANSPORT = "transport"
OWN_CONNECTIONS = 2  # of each service, besides its pool: the relay, and the commit check of `/readyz`
LOG_CONNECTIONS = 5  # of each service to the postgres transport: writing, lag, history, and two readers

MIGRATIONS = {
    "trigger": ROOT / "services/trigger/migrations",
    "dispatcher": ROOT / "services/dispatcher/migrations",
    "scoring": ROOT / "services/scoring/migrations",
    TRANSPORT: ROOT / "shared/migrations/log",
}


def schemas_of(settings: Settings, services: Iterable[Service]) -> list[str]:
    """Return the schemas that these services use: their own, and the event log's where it is in PostgreSQL."""
    return [*map(str, services), *([] if settings.events_url else [TRANSPORT])]


async def urls_for(settings: Settings, schemas: Sequence[str]) -> dict[str, str]:
    return await embedded.urls_of(schemas, settings)


async def migrate(urls: Mapping[str, str]) -> dict[str, migrations.Upgraded]:
    """Bring each schema to its newest revision."""
    found: dict[str, migrations.Upgraded] = {}
    for schema, url in urls.items():
        async with open_database(url, schema=schema, options=UNLIMITED) as database:
            upgrade = retry_outages(url)
            found[schema] = await upgrade(migrations.upgrade, database, MIGRATIONS[schema])
    return found


def refuse_migration(options: DatabaseOptions) -> None:
    """Raise NeedsSessions when a migration would run through a pooler in transaction mode."""
    if options.pooled:
        raise NeedsSessions(
            "EARSHOT_DATABASE_POOLED=transaction: a migration needs a session of its own: "
            "set EARSHOT_MIGRATE_ON_START=false, and run earshot migrate with EARSHOT_MIGRATE_URL"
        )


async def check_search_paths(urls: Mapping[str, str], options: DatabaseOptions) -> None:
    """Raise NeedsSessions when a role's default schema is another one: behind a pooler, search_path cannot be set."""
    for schema, url in urls.items() if options.pooled else ():
        found: str | None = await retry_outages(url)(_current_schema, url, schema, options)
        if found != schema:
            role = database_url.parse(url).user
            raise NeedsSessions(
                f"{schema}: its role uses the schema {found}: run ALTER ROLE {role} SET search_path = {schema}"
            )


async def _current_schema(url: str, schema: str, options: DatabaseOptions) -> str | None:
    async with open_database(url, schema=schema, options=options) as database, database.sessions.begin() as session:
        found: str | None = (await fetch(session, "SELECT current_schema()"))[0][0]
    return found


async def connection_capacities(urls: Mapping[str, str], options: DatabaseOptions) -> list[ConnectionCapacity]:
    """Compare how many connections this process may open on each server with how many the server accepts."""
    wanted: dict[tuple[Host, ...], int] = {}
    for schema, url in urls.items():
        server = database_url.parse(url).hosts
        own = (len(urls) - 1) * LOG_CONNECTIONS if schema == TRANSPORT else options.pool_size + OWN_CONNECTIONS
        wanted[server] = wanted.get(server, 0) + own
    one_url_each = {database_url.parse(url).hosts: url for url in urls.values()}
    return [
        await capacity.read_capacity(url, wanted=wanted[server], options=options)
        for server, url in one_url_each.items()
    ]


async def check_capacities(urls: Mapping[str, str], options: DatabaseOptions) -> None:
    """Raise TooFewConnections when a server's limit is too low for this process; warn when too few are free now."""
    if options.pooled:
        return  # the pooler has its own limits
    found: list[ConnectionCapacity] = await retry_outages(*urls.values())(connection_capacities, urls, options)
    for room in found:
        if room.is_too_small:
            raise TooFewConnections(str(room))
        if room.is_short:
            log.warning("database.few_connections", allowed=room.allowed, taken=room.taken, wanted=room.wanted)


async def until_migrated(urls: Mapping[str, str], stop: asyncio.Event, options: DatabaseOptions) -> bool:
    """Wait until every schema is migrated; return False if `stop` is set first.

    Raises SchemaUnfit for a schema on which this version cannot work.
    """
    for schema, url in urls.items():
        async with open_database(url, schema=schema, options=options) as database:
            if not await _until_migrated(database, stop):
                return False
    return True


async def _until_migrated(database: Database, stop: asyncio.Event) -> bool:
    logged = ""
    while not stop.is_set():
        try:
            await check(database, MIGRATIONS[database.schema])
        except Exception as error:
            if not isinstance(error, SchemaOlder) and not is_transient(error):
                raise
            reason = str(error) if isinstance(error, SchemaOlder) else type(error).__name__
        else:
            return True
        if reason != logged:
            log.warning("start.waits", schema=database.schema, servers=database.url.where, reason=reason)
        logged = reason
        await wait_for(stop, RETRY_S)
    return False


async def check_migrations() -> None:
    """Upgrade an empty server, compare it with the models, downgrade, upgrade; raises ModelsDiffer or SchemaUnfit."""
    await _on_empty_server(migrations.round_trip)


async def write_catalogues() -> None:
    """Write the catalogue of each schema's newest revision."""
    await _on_empty_server(migrations.write_catalogue)


async def _on_empty_server(action: Callable[[Database, Path], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory(prefix="earshot-", ignore_cleanup_errors=True) as folder:
        server = await asyncio.to_thread(embedded.start, Path(folder))
        for schema, url in (await embedded.prepare(server)).items():
            async with open_database(url, schema=schema, options=UNLIMITED) as database:
                await action(database, MIGRATIONS[schema])
        server.stop()
