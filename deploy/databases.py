"""Which database each schema lives in, and how each is migrated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared import embedded, migrations
from shared.config import Settings
from shared.db import Database

ROOT = Path(__file__).parent.parent
TRANSPORT = "transport"

MIGRATIONS = {
    "trigger": ROOT / "services/trigger/migrations",
    "dispatcher": ROOT / "services/dispatcher/migrations",
    "scoring": ROOT / "services/scoring/migrations",
    TRANSPORT: ROOT / "shared/transport/migrations",
}


async def urls_for(settings: Settings, schemas: Sequence[str]) -> dict[str, str]:
    """Find the URL of each schema; PostgreSQL is started in the data folder when a schema has none of its own."""
    given = {schema: getattr(settings, f"{schema}_database_url", "") or settings.database_url for schema in schemas}
    if all(given.values()):
        return given
    server = await asyncio.to_thread(embedded.start, settings.data_dir / "postgres")
    own = await embedded.prepare(server)
    return {schema: url or own[schema] for schema, url in given.items()}


async def migrate(urls: Mapping[str, str]) -> None:
    """Bring each schema to its newest revision."""
    for schema, url in urls.items():
        database = Database(url, schema=schema, pool_size=1)
        try:
            await migrations.upgrade(database, MIGRATIONS[schema])
        finally:
            await database.close()


async def check_migrations() -> None:
    """On an empty server of its own: up, compare with the models, down, up; raises ModelsDiffer."""
    with tempfile.TemporaryDirectory(prefix="earshot-", ignore_cleanup_errors=True) as folder:
        server = await asyncio.to_thread(embedded.start, Path(folder))
        for schema, url in (await embedded.prepare(server)).items():
            database = Database(url, schema=schema, pool_size=1)
            await migrations.round_trip(database, MIGRATIONS[schema])
            await database.close()
        server.stop()
