"""What scoring changes of a person is in force in the other services after their events, without anybody looking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from deploy import all_in_one
from deploy.addresses import address
from services.scoring.domain.people.scope import PersonScope
from services.scoring.people import accounts
from services.scoring.repository.people import sessions
from services.trigger.domain.programs.reading import read_program
from services.trigger.handlers.programs import apply_program
from shared import supervisor
from shared.contract.vocabulary import Role, Service
from shared.database.db import Database
from shared.messaging import relay
from shared.messaging.relay_leadership import LockLeadership
from shared.messaging.transport import postgres
from tests.journey.stage import purchase
from tests.journey.test_wakes import HOUR_S, PROGRAM, running
from tests.staff import STAFF

PASSWORD = "velvet harbour tidy comet"
IN_FORCE_S = 5.0


async def test_scope_and_revocation_are_in_force_in_every_service_within_seconds(
    urls: Mapping[str, str],
    trigger_db: Database,
    scoring_db: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (supervisor, postgres, relay):
        monkeypatch.setattr(module, "IDLE_S", HOUR_S)
    monkeypatch.setattr(LockLeadership, "idle_s", HOUR_S)
    monkeypatch.setattr(all_in_one, "SharedSessions", lambda: None)  # as in processes of their own
    now = datetime.now(UTC)
    async with trigger_db.sessions.begin() as session:
        await apply_program(session, read_program(PROGRAM), now=now)
    async with scoring_db.sessions.begin() as session:
        roles = [Role.SUPERVISOR]
        vera = await accounts.add(session, login="vera", name="Vera", roles=roles)
    async with asyncio.timeout(60), running(urls, tmp_path) as settings, httpx2.AsyncClient() as web:
        scoring, dispatcher = (address(settings, service) for service in (Service.SCORING, Service.DISPATCHER))
        async with httpx2.AsyncClient(auth=STAFF) as shop:
            events = [purchase(1, at=now, store="Arbat"), purchase(2, at=now, store="Nevsky")]
            await shop.post(f"{address(settings, Service.TRIGGER)}/v1/events", json=events)
        await web.post(vera.url(scoring), data={"password": PASSWORD, "again": PASSWORD})

        async def until(invitations: int | None) -> float:
            """Wait until dispatcher shows so many invitations, None for no longer any; return the seconds."""
            begun = time.monotonic()
            while True:
                got = await web.get(f"{dispatcher}/v1/invitations", follow_redirects=False)
                shown = len(got.json()["invitations"]) if got.status_code == 200 else None
                if shown == invitations:
                    return time.monotonic() - begun
                if got.status_code == 401 and invitations is not None:
                    await web.get(f"{scoring}/login/renew", params={"next": "/invitations"}, follow_redirects=False)

        await until(2)
        async with scoring_db.sessions.begin() as session:
            scope = PersonScope(programs=frozenset({"another"}))
            await accounts.change(session, vera.person.id, name="Vera", roles=["supervisor"], scope=scope)
        assert await until(0) < IN_FORCE_S
        async with scoring_db.sessions.begin() as session:
            await sessions.end_all(session, vera.person.id)
        assert await until(None) < IN_FORCE_S
        assert (await web.get(f"{scoring}/account", follow_redirects=False)).status_code == 401
