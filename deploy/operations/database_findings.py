"""`earshot doctor`: the databases, their schemas, clocks and connection limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import asyncpg

from deploy import databases
from deploy.all_settings import ALL
from deploy.operations.findings import Finding
from shared import database_url
from shared.config import Settings
from shared.database.commit_check import commit_once
from shared.database.compared_clock import fault_of, seconds_apart
from shared.database.opening import open_database
from shared.database.schema import SchemaOlder, SchemaUnfit, fingerprint
from shared.database_url import DatabaseOptions, NeedsSessions
from shared.health import NotReady

OLDEST_POSTGRES = 150_000
_POOLED = "set EARSHOT_DATABASE_POOLED=transaction"


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    urls: dict[str, str] = {}
    for schema in databases.schemas_of(settings, ALL):
        try:
            urls |= await databases.urls_for(settings, [schema])
        except Exception as error:  # noqa: BLE001 - every error of the start is a finding
            yield Finding.fail(f"PostgreSQL: {error}", f"repair this, or set EARSHOT_{schema.upper()}_DATABASE_URL")
        else:
            for finding in await _database(schema, urls[schema], settings):
                yield finding
    if settings.database_pooled:
        return  # the pooler has its own limits
    with suppress(OSError, asyncpg.PostgresError, NeedsSessions):  # reported already
        for room in await databases.connection_capacities(urls, settings.database_options):
            text, _, cure = str(room).partition(": ")
            if room.is_too_small:
                yield Finding.fail(text, cure)
            else:
                yield Finding.note(text, cure) if room.is_short else Finding.ok(text)


async def _database(schema: str, url: str, settings: Settings) -> list[Finding]:
    try:
        if not settings.database_pooled and await _share_a_server(url, settings.database_options):
            return [Finding.fail(f"{schema}: a pooler in transaction mode is in front of PostgreSQL", _POOLED)]
        connection = await database_url.connect(url, options=settings.database_options)
    except NeedsSessions as error:
        text, _, cure = str(error).partition(": ")
        return [Finding.fail(f"{schema}: {text}", cure)]
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        cure = f"start it, or correct EARSHOT_{schema.upper()}_DATABASE_URL"
        return [Finding.fail(f"{schema}: no database ({type(error).__name__})", cure)]
    try:
        async with connection.transaction():  # in it, a pooler in transaction mode uses one server connection
            version = int(await connection.fetchval("SHOW server_version_num"))
            letters = await _letters(schema, connection)
            clock = [] if settings.clock else [await _clock(schema, connection)]
        commits = await _commits(schema, connection)
    finally:
        await connection.close()
    if version < OLDEST_POSTGRES:
        return [Finding.fail(f"{schema}: PostgreSQL {version // 10_000}", "15 or newer is needed"), *clock]
    return [await _schema(schema, url, settings, server=f"PostgreSQL {version // 10_000}"), *commits, *letters, *clock]


async def _share_a_server(url: str, options: DatabaseOptions) -> bool:
    """Say whether one server process serves two open sessions: only a pooler in transaction mode does that.

    The second session begins a transaction right after the first has ended one, so PgBouncer gives it the same server
    process.
    """
    served_by: set[int] = set()
    async with AsyncExitStack() as resources:
        sessions: list[asyncpg.Connection] = []
        for _ in range(2):
            sessions.append(await database_url.connect(url, options=replace(options, pooled=True)))
            resources.push_async_callback(sessions[-1].close)
        for session in sessions:
            async with session.transaction():
                served_by.add(await session.fetchval("SELECT pg_backend_pid()"))
    return len(served_by) < len(sessions)


async def _commits(schema: str, connection: asyncpg.Connection) -> list[Finding]:
    try:
        await commit_once(connection)
    except (NotReady, asyncpg.PostgresError) as error:
        cure = "look at its standbys (synchronous_standby_names), its disk, and whether it is itself a standby"
        return [Finding.fail(f"{schema}: the database {error}", cure)]
    return []


async def _letters(schema: str, connection: asyncpg.Connection) -> list[Finding]:
    if await connection.fetchval("SELECT lower('Ж') = 'ж'"):
        return []
    cure = "move to a database made with TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
    return [Finding.note(f"{schema}: the database's locale knows no letters but English ones", cure)]


async def _schema(schema: str, url: str, settings: Settings, *, server: str) -> Finding:
    try:
        async with open_database(url, schema=schema, options=settings.database_options) as database:
            found = await fingerprint(database, databases.MIGRATIONS[schema])
    except SchemaOlder as error:
        return Finding.note(str(error), "run earshot migrate, or start with EARSHOT_MIGRATE_ON_START=true")
    except SchemaUnfit as error:
        what, _, cure = str(error).rpartition("; ")
        return Finding.fail(what, cure)
    return Finding.ok(f"{schema}: {server}, schema {found}")


async def _clock(schema: str, connection: asyncpg.Connection) -> Finding:
    apart_s = await seconds_apart(lambda: connection.fetchval("SELECT clock_timestamp()"))
    text, _, cure = fault_of(apart_s).partition(": ")
    return (
        Finding.fail(f"{schema}: {text}", cure)
        if text
        else Finding.ok(f"{schema}: the clocks agree to {abs(apart_s):.0f} s")
    )
