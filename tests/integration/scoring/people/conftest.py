"""Scoring with a machine clock that the test moves, and browsers that keep cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.scoring import main
from services.scoring.config import ScoringSettings
from services.scoring.people import accounts
from services.scoring.people.accounts import Invited
from services.scoring.people.link_mailer import LinkMailer
from services.scoring.people.log_in import GuessLimits, LogIn
from shared.contract.vocabulary import Role
from shared.web.rate_limit import RateLimit
from shared.web.staff.gate import StaffAccess
from tests.integration.scoring.stand import Scoring

PASSWORD = "velvet harbour tidy comet"
PAGE = {"accept": "text/html"}
Open = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@dataclass
class MachineClock:
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def after(self, **time: float) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def machine() -> MachineClock:
    return MachineClock()


@pytest.fixture
def settings() -> ScoringSettings:
    return ScoringSettings(_env_file=None)


@pytest.fixture
def link_mailer() -> LinkMailer | None:
    return None


@pytest.fixture
def app(
    scoring: Scoring,
    machine: MachineClock,
    settings: ScoringSettings,
    monkeypatch: pytest.MonkeyPatch,
    link_mailer: LinkMailer | None,
) -> FastAPI:
    def limit(per_second: float = 0.1) -> RateLimit:
        return RateLimit(per_second=per_second, burst=10, monotonic=machine.seconds)

    def log_in(sessions: Any, *, need_codes: frozenset[Role]) -> LogIn:
        limits = GuessLimits(limit(), limit(), limit(), limit(10 / 86_400))
        return LogIn(sessions, need_codes=need_codes, limits=limits, now=machine.now)

    of = StaffAccess.of
    monkeypatch.setattr(main, "LogIn", log_in)
    monkeypatch.setattr(StaffAccess, "of", lambda settings, **more: of(settings, now=machine.now, **more))
    return main.build_app(
        settings, database=scoring.database, clock=scoring.clock, samples=True, link_mailer=link_mailer
    )


@pytest.fixture
def opened(app: FastAPI) -> Open:
    @asynccontextmanager
    async def open_browser(
        *, base_url: str = "http://127.0.0.1:8000", peer: str = "127.0.0.1", **headers: str
    ) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app, client=(peer, 5000))
        async with httpx2.AsyncClient(transport=transport, base_url=base_url, headers=PAGE | headers) as client:
            yield client

    return open_browser


@pytest.fixture
async def web(opened: Open) -> AsyncIterator[httpx2.AsyncClient]:
    async with opened() as client:
        yield client


async def invited(scoring: Scoring, login: str, *roles: Role) -> Invited:
    async with scoring.database.sessions.begin() as session:
        return await accounts.add(session, login=login, name=f"{login.title()} Petrova", roles=roles)


async def joined(web: httpx2.AsyncClient, scoring: Scoring, login: str, *roles: Role) -> httpx2.Response:
    """Add somebody who chooses PASSWORD and is logged in then."""
    link = (await invited(scoring, login, *roles)).url("")
    return await web.post(link, data={"password": PASSWORD, "again": PASSWORD})


async def enter(web: httpx2.AsyncClient, login: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
    return await web.post("/login", data={"login": login, "password": password, **more})
