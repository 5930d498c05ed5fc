"""The HTTP app of dispatcher, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from shared.web import links
from shared.web.links import Purpose
from tests.integration.dispatcher.conftest import LINK_KEYS, Chain
from tests.staff import STAFF


def settings(**values: object) -> DispatcherSettings:
    return DispatcherSettings(_env_file=None, **values)  # type: ignore[arg-type]


@asynccontextmanager
async def browser(
    chain: Chain, *, auth: httpx2.Auth | None = STAFF, **values: object
) -> AsyncIterator[httpx2.AsyncClient]:
    app = main.build_app(settings(**values), chain.database, chain.clock)
    async with httpx2.AsyncClient(
        auth=auth, transport=httpx2.ASGITransport(app), base_url="http://localhost"
    ) as client:
        yield client


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(chain) as opened:
        yield opened


def unsubscribe_path(invitation: object) -> str:
    token = links.token(LINK_KEYS, "dev", Purpose.UNSUBSCRIBE, invitation)  # type: ignore[arg-type]
    return f"/u/{token}"
