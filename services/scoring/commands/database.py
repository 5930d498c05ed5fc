"""Scoring's database, for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.scoring.config import ScoringSettings
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.database.db import Database


@asynccontextmanager
async def opened(settings: ScoringSettings) -> AsyncIterator[Database]:
    database = Database(
        await embedded.url_of(Service.SCORING, settings),
        schema=Service.SCORING,
        options=settings.database_options.patient,
        pool_size=2,
    )
    try:
        yield database
    finally:
        await database.close()
