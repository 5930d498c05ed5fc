from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.db import Database
from shared.transport import open_log
from tests.integration.scoring.stand import Scoring


@pytest.fixture
def scoring(scoring_db: Database) -> Scoring:
    return Scoring(scoring_db)


@pytest.fixture
async def client(scoring: Scoring, urls: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A browser or machine on the same host."""
    log = open_log(urls["transport"])
    app = build_app(ScoringSettings(), database=scoring.database, event_log=log, clock=scoring.clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client
    await log.close()
