"""Every schema of the database, and how to migrate each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared import migrations
from shared.db import Database

ROOT = Path(__file__).parent.parent

MIGRATIONS = {
    "transport": ROOT / "shared/transport/migrations",
    "trigger": ROOT / "services/trigger/migrations",
    "dispatcher": ROOT / "services/dispatcher/migrations",
    "scoring": ROOT / "services/scoring/migrations",
}


async def migrate(urls: Mapping[str, str], *, check: bool = False) -> None:
    """Upgrade the schema behind each URL; with `check`, also compare with the models, go down and up again."""
    for schema, url in urls.items():
        database = Database(url, schema=schema, pool_size=1)
        try:
            await (migrations.round_trip if check else migrations.upgrade)(database, MIGRATIONS[schema])
        finally:
            await database.close()
