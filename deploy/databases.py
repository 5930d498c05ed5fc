"""Which database each schema lives in, and how each is migrated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import tenacity

from shared import embedded, migrations
from shared.config import Settings
from shared.database_url import PATIENT
from shared.db import Database, until_it_answers

log = structlog.get_logger()

ROOT = Path(__file__).parent.parent
TRANSPORT = "transport"

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
