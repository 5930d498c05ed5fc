from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.database.db import Database
from tests.integration.scoring.stand import Scoring
from tests.staff import STAFF


@pytest.fixture
def scoring(scoring_db: Database) -> Scoring:
    return Scoring(scoring_db)


@pytest.fixture
async def client(scoring: Scoring) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the application."""
    app = build_app(ScoringSettings(), database=scoring.database, clock=scoring.clock)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client
