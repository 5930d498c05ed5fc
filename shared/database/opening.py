"""Context managers that open a database for a command, a check or a migration, and close it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.config import Settings
from shared.database import embedded
from shared.database.db import Database
from shared.database_url import DEFAULT, DatabaseOptions


@asynccontextmanager
async def open_database(
    url: str, *, schema: str, options: DatabaseOptions = DEFAULT, pool_size: int = 1
) -> AsyncIterator[Database]:
    """Open one schema by its URL, and close every connection at the end."""
    database = Database(url, schema=schema, options=options, pool_size=pool_size)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_for_command(
    settings: Settings, schema: str, *, options: DatabaseOptions | None = None, pool_size: int = 1
) -> AsyncIterator[Database]:
    """Open a schema's database by the settings; raises NoDatabase.

    Without `options` the settings' own are used, but without timeouts after connecting: a command may run for long.
    """
    url = await embedded.url_of(schema, settings, must_exist=True)
    async with open_database(
        url, schema=schema, options=options or settings.database_options.unlimited, pool_size=pool_size
    ) as database:
        yield database
