"""The answer page served over HTTP, for browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from tests.integration.scoring.stand import Scoring


@pytest.fixture
async def address(scoring: Scoring) -> AsyncIterator[str]:
    app = build_app(ScoringSettings(), database=scoring.database, clock=scoring.clock)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
