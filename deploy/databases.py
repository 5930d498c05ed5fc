"""Which database each schema lives in, and how each is migrated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import tenacity

from shared import capacity, database_url, embedded, migrations
from shared.capacity import Room, TooFewConnections
from shared.config import Settings
from shared.database_url import PATIENT, DatabaseOptions, Host
from shared.db import Database, until_it_answers

log = structlog.get_logger()

ROOT = Path(__file__).parent.parent
TRANSPORT = "transport"
RELAY_CONNECTIONS = 1  # of each service, beside its pool
LOG_CONNECTIONS = 4  # of each service on the postgres transport: it writes, asks, and reads as up to two groups

MIGRATIONS = {
    "trigger": ROOT / "services/trigger/migrations",
    "dispatcher": ROOT / "services/dispatcher/migrations",
    "scoring": ROOT / "services/scoring/migrations",
    TRANSPORT: ROOT / "shared/transport/migrations",
}


async def urls_for(settings: Settings, schemas: Sequence[str]) -> dict[str, str]:
    return {schema: await embedded.url_of(schema, settings) for schema in schemas}


async def migrate(urls: Mapping[str, str]) -> None:
    """Bring each schema to its newest revision."""
    for schema, url in urls.items():
        database = Database(url, schema=schema, options=PATIENT)
        try:
            await until_it_answers(before_sleep=_say_so)(migrations.upgrade, database, MIGRATIONS[schema])
        finally:
            await database.close()


async def rooms(urls: Mapping[str, str], options: DatabaseOptions) -> list[Room]:
    """Compare what this process may open on each server with what that lets in."""
    wanted: dict[tuple[Host, ...], int] = {}
    for schema, url in urls.items():
        server = database_url.parse(url).hosts
        own = (len(urls) - 1) * LOG_CONNECTIONS if schema == TRANSPORT else options.pool_size + RELAY_CONNECTIONS
        wanted[server] = wanted.get(server, 0) + own
    one_of_each = {database_url.parse(url).hosts: url for url in urls.values()}
    return [await capacity.room(url, wanted=wanted[server], options=options) for server, url in one_of_each.items()]


async def check_rooms(urls: Mapping[str, str], options: DatabaseOptions) -> None:
    """Raise TooFewConnections where the process could never have what it may need; warn where it is short now."""
    found: list[Room] = await until_it_answers(before_sleep=_say_so)(rooms, urls, options)
    for room in found:
        if room.is_too_small:
            raise TooFewConnections(str(room))
        if room.is_short:
            log.warning("database.few_connections", allowed=room.allowed, taken=room.taken, wanted=room.wanted)


def _say_so(state: tenacity.RetryCallState) -> None:
    log.warning("database.unreachable", attempt=state.attempt_number, cure="earshot doctor")


async def check_migrations() -> None:
    """On an empty server of its own: up, compare with the models, down, up; raises ModelsDiffer."""
    with tempfile.TemporaryDirectory(prefix="earshot-", ignore_cleanup_errors=True) as folder:
        server = await asyncio.to_thread(embedded.start, Path(folder))
        for schema, url in (await embedded.prepare(server)).items():
            database = Database(url, schema=schema, options=PATIENT)
            await migrations.round_trip(database, MIGRATIONS[schema])
            await database.close()
        server.stop()
