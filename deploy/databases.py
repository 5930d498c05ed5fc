"""Which database each schema lives in, and how each is migrated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import structlog
import tenacity

from shared import database_url, migrations
from shared.config import Settings
from shared.database import capacity, embedded
from shared.database.capacity import Room, TooFewConnections
from shared.database.db import Database, fetch, is_transient, until_it_answers
from shared.database.opening import open_database
from shared.database.schema import SchemaOlder, check
from shared.database_url import PATIENT, DatabaseOptions, Host, NeedsSessions
from shared.waiting import wait_for

log = structlog.get_logger()

RETRY_S = 1.0
ROOT = Path(__file__).parent.parent
TRANSPORT = "transport"
OWN_CONNECTIONS = 2  # of each service, beside its pool: its relay, and what `/readyz` commits on
LOG_CONNECTIONS = 5  # of each service on the postgres transport: it writes, asks, looks back, and reads twice

MIGRATIONS = {
    "trigger": ROOT / "services/trigger/migrations",
    "dispatcher": ROOT / "services/dispatcher/migrations",
    "scoring": ROOT / "services/scoring/migrations",
    TRANSPORT: ROOT / "shared/migrations/log",
}


async def urls_for(settings: Settings, schemas: Sequence[str]) -> dict[str, str]:
    return {schema: await embedded.url_of(schema, settings) for schema in schemas}


async def migrate(urls: Mapping[str, str]) -> dict[str, str]:
    """Bring each schema to its newest revision; return the fingerprint of each."""
    found: dict[str, str] = {}
    for schema, url in urls.items():
        async with open_database(url, schema=schema, options=PATIENT) as database:
            upgrade = until_it_answers(before_sleep=_say_so)
            found[schema] = await upgrade(migrations.upgrade, database, MIGRATIONS[schema])
    return found


def refuse_migration(options: DatabaseOptions) -> None:
    """Raise NeedsSessions where a migration would go through a pool of transactions."""
    if options.pooled:
        raise NeedsSessions(
            "EARSHOT_DATABASE_POOLED=transaction: a migration needs a session of its own: "
            "set EARSHOT_MIGRATE_ON_START=false, and run earshot migrate with EARSHOT_MIGRATE_URL"
        )


async def check_search_paths(urls: Mapping[str, str], options: DatabaseOptions) -> None:
    """Raise NeedsSessions where a pooled session, which has no settings of ours, would work in another schema."""
    for schema, url in urls.items() if options.pooled else ():
        found: str | None = await until_it_answers(before_sleep=_say_so)(_current_schema, url, schema, options)
        if found != schema:
            role = database_url.parse(url).user
            raise NeedsSessions(f"{schema}: its role works in {found}: ALTER ROLE {role} SET search_path = {schema}")


async def _current_schema(url: str, schema: str, options: DatabaseOptions) -> str | None:
    async with open_database(url, schema=schema, options=options) as database, database.sessions.begin() as session:
        found: str | None = (await fetch(session, "SELECT current_schema()"))[0][0]
    return found


async def rooms(urls: Mapping[str, str], options: DatabaseOptions) -> list[Room]:
    """Compare what this process may open on each server with what that lets in."""
    wanted: dict[tuple[Host, ...], int] = {}
    for schema, url in urls.items():
        server = database_url.parse(url).hosts
        own = (len(urls) - 1) * LOG_CONNECTIONS if schema == TRANSPORT else options.pool_size + OWN_CONNECTIONS
        wanted[server] = wanted.get(server, 0) + own
    one_of_each = {database_url.parse(url).hosts: url for url in urls.values()}
    return [await capacity.room(url, wanted=wanted[server], options=options) for server, url in one_of_each.items()]


async def check_rooms(urls: Mapping[str, str], options: DatabaseOptions) -> None:
    """Raise TooFewConnections where the process could never have what it may need; warn where it is short now."""
    if options.pooled:
        return  # the pooler has limits of its own
    found: list[Room] = await until_it_answers(before_sleep=_say_so)(rooms, urls, options)
    for room in found:
        if room.is_too_small:
            raise TooFewConnections(str(room))
        if room.is_short:
            log.warning("database.few_connections", allowed=room.allowed, taken=room.taken, wanted=room.wanted)


async def until_migrated(urls: Mapping[str, str], stop: asyncio.Event, options: DatabaseOptions) -> bool:
    """Wait until somebody has migrated every schema; False when stopped before. Raises SchemaUnfit where none can."""
    for schema, url in urls.items():
        async with open_database(url, schema=schema, options=options) as database:
            if not await _until_migrated(database, stop):
                return False
    return True


async def _until_migrated(database: Database, stop: asyncio.Event) -> bool:
    said = ""
    while not stop.is_set():
        try:
            await check(database, MIGRATIONS[database.schema])
        except Exception as error:
            if not isinstance(error, SchemaOlder) and not is_transient(error):
                raise
            reason = str(error) if isinstance(error, SchemaOlder) else type(error).__name__
        else:
            return True
        if reason != said:
            log.warning("start.waits", schema=database.schema, reason=reason)
        said = reason
        await wait_for(stop, RETRY_S)
    return False


def _say_so(state: tenacity.RetryCallState) -> None:
    log.warning("database.unreachable", attempt=state.attempt_number, cure="earshot doctor")


async def check_migrations() -> None:
    """On an empty server of its own: up, compare with the models, down, up; raises ModelsDiffer and SchemaUnfit."""
    await _on_empty_server(migrations.round_trip)


async def write_catalogues() -> None:
    """Write down what the newest revision of each schema looks like."""
    await _on_empty_server(migrations.write_catalogue)


async def _on_empty_server(action: Callable[[Database, Path], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory(prefix="earshot-", ignore_cleanup_errors=True) as folder:
        server = await asyncio.to_thread(embedded.start, Path(folder))
        for schema, url in (await embedded.prepare(server)).items():
            async with open_database(url, schema=schema, options=PATIENT) as database:
                await action(database, MIGRATIONS[schema])
        server.stop()
