"""Requests between two rows of the audit log, whatever the handler, the database or the client does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import Scope

from shared.clock import utc_now
from shared.config import Settings
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Role, Service
from shared.database import db
from shared.database.audit import chain
from shared.database.audit.rows import AuditRow
from shared.database.audit.verify import verify
from shared.database.db import Database
from shared.health import Health
from shared.web.app import create_app
from shared.web.audit import trail
from shared.web.audit.acts import acted_by, note
from shared.web.audit.trail import AuditTrail
from shared.web.problems import Conflict, Forbidden, Problem, TooManyRequests, Unauthorized
from shared.web.staff.gate import StaffAccess
from shared.web.staff.tickets import Ticket
from tests.audit import audit_rows
from tests.staff import sees_everything

ANNA, KEY = UUID("01999999-0000-7000-8000-000000000001"), UUID("01999999-0000-7000-8000-00000000000a")
SUBJECT = str(uuid4())


@dataclass
class Handlers:
    """Routes of an application; each notes that it was called."""

    called: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/stores/edit", self.edit, methods=["POST"])
        router.add_api_route("/stores/export", self.export, methods=["GET"])
        router.add_api_route("/stores", self.look, methods=["GET"])
        router.add_api_route("/people/{person_id}/off", self.hang, methods=["POST"])
        router.add_api_route("/people/{person_id}", self.refuse, methods=["POST"])
        router.add_api_route("/v1/stores/{code}", self.edit, methods=["PUT"])
        router.add_api_route("/login", self.enter, methods=["POST"])
        router.add_api_route("/join/{secret}", self.join, methods=["POST"])
        return router

    async def edit(self, code: str = "form") -> dict[str, str]:  # noqa: ARG002 - of the path
        self.called.append("edit")
        note(details="none", stores=3, roles=["manager"])
        return {}

    async def export(self) -> str:
        return "code;name"

    async def look(self) -> str:
        return "page"

    async def hang(self, person_id: UUID) -> None:  # noqa: ARG002 - of the path
        self.reached.set()
        await asyncio.Event().wait()

    async def refuse(self, person_id: UUID) -> None:  # noqa: ARG002 - of the path
        raise Conflict("It is another")

    async def enter(self, who: str = "") -> None:
        self.called.append("enter")
        if who == "nobody":
            raise Unauthorized("Wrong")
        if who == "slow":
            raise TooManyRequests("Wait")
        acted_by(ANNA)

    async def join(self, secret: str) -> None:  # noqa: ARG002 - of the path
        note(ANNA)


@dataclass
class Stand:
    database: Database
    app: FastAPI
    trail: AuditTrail
    access: StaffAccess
    handlers: Handlers

    async def rows(self) -> list[AuditRow]:
        return await audit_rows(self.database)

    async def told(self) -> list[tuple[Any, ...]]:
        return [(each.stage, each.actor_kind, each.action, each.subject, each.status) for each in await self.rows()]

    @asynccontextmanager
    async def browser(self, *roles: Role, session: UUID | None = ANNA) -> AsyncIterator[httpx2.AsyncClient]:
        ticket = Ticket(ANNA, "Anna Orlova", frozenset(roles), utc_now(), session)
        cookie = {"cookie": f"earshot={self.access.signer.sign(ticket)}"} if roles else {}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=cookie) as client:
            yield client


async def admit(scope: Scope, token: str) -> StaffScope:
    refusals: dict[str, Problem] = {"esk_bad": Unauthorized("Not valid"), "esk_narrow": Forbidden("Not this")}
    if token != "esk_bad":
        scope.setdefault("state", {})["key"] = KEY
    if token in refusals:
        raise refusals[token]
    return WHOLE


@pytest.fixture
def stand(scoring_db: Database) -> Stand:
    return stand_on(scoring_db)


def stand_on(database: Database) -> Stand:
    recording, handlers = AuditTrail(database.sessions), Handlers()
    access = StaffAccess.of(Settings(_env_file=None), sees_everything, admit=admit, trail=recording)
    app = create_app(Service.SCORING, health=Health(), access=access)
    app.include_router(handlers.router())
    return Stand(database, app, recording, access, handlers)


async def test_change_by_a_person_has_a_row_before_and_one_after(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        assert (await web.post("/stores/edit?q=anna@shop.example")).status_code == 200
    asked, ended = await stand.rows()
    assert (asked.stage, asked.actor_kind, asked.actor, asked.action) == (
        "asked",
        "person",
        str(ANNA),
        "POST /stores/edit",
    )
    assert (asked.status, asked.details, asked.of) == (None, "{}", None)
    assert (ended.stage, ended.actor, ended.status, ended.of) == ("ended", str(ANNA), 200, asked.number)
    assert json.loads(ended.details) == {"details": "none", "stores": 3, "roles": ["manager"]}


async def test_key_and_program_are_named_as_what_they_are(stand: Stand) -> None:
    async with stand.browser() as web:
        await web.put("/v1/stores/77", headers={"authorization": "Bearer esk_good"})
    async with stand.browser(Role.ADMINISTRATOR, session=None) as web:
        await web.post("/stores/edit")
    assert [(each.actor_kind, each.actor, each.subject) for each in await stand.rows()] == [
        *[("key", str(KEY), "77")] * 2,
        *[("program", str(ANNA), None)] * 2,
    ]


async def test_reading_is_not_recorded_but_an_export_is(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        await web.get("/stores?find=anna@shop.example")
        await web.get("/stores/export")
        await web.head("/stores/export")
    assert await stand.told() == [
        ("asked", "person", "GET /stores/export", None, None),
        ("ended", "person", "GET /stores/export", None, 200),
    ]


async def test_status_of_a_change_that_failed_is_recorded(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        assert (await web.post(f"/people/{SUBJECT}")).status_code == 409
        assert (await web.post("/people/anna@shop.example")).status_code == 422
    assert await stand.told() == [
        ("asked", "person", "POST /people/{person_id}", SUBJECT, None),
        ("ended", "person", "POST /people/{person_id}", SUBJECT, 409),
        ("asked", "person", "POST /people/{person_id}", None, None),
        ("ended", "person", "POST /people/{person_id}", None, 422),
    ]


async def test_handler_that_is_killed_leaves_only_what_was_asked(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        asking = asyncio.create_task(web.post(f"/people/{SUBJECT}/off"))
        await stand.handlers.reached.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await stand.told() == [("asked", "person", "POST /people/{person_id}/off", SUBJECT, None)]


async def test_without_the_audit_log_nothing_is_changed(scoring_db: Database) -> None:
    async with scoring_db.sessions.begin() as session:
        await db.fetch(session, "ALTER TABLE audit_log RENAME TO away")
    stand = stand_on(scoring_db)
    async with stand.browser(Role.ADMINISTRATOR) as web:
        answer = await web.post("/stores/edit")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert (await web.get("/stores")).status_code == 200
        assert stand.handlers.called == []
        assert (await web.post("/login")).status_code == 503
        async with scoring_db.sessions.begin() as session:
            await db.fetch(session, "ALTER TABLE away RENAME TO audit_log")
        assert (await web.post("/stores/edit")).status_code == 200
    assert len(await stand.rows()) == 2


async def test_refusals_of_a_person_and_of_a_known_key_are_rows_of_their_own(stand: Stand) -> None:
    async with stand.browser(Role.OPERATOR) as web:
        assert (await web.post("/stores/edit")).status_code == 403
        assert (await web.get("/stores")).status_code == 403
    async with stand.browser() as web:
        narrow = {"authorization": "Bearer esk_narrow"}
        assert (await web.put("/v1/stores/77", headers=narrow)).status_code == 403
    assert await stand.told() == [
        ("refused", "person", "POST /stores/edit", None, 403),
        ("refused", "key", "PUT /v1/stores/{code}", "77", 403),
    ]


async def test_refusals_of_nobody_are_counted_and_written_by_the_minute(stand: Stand) -> None:
    async with stand.browser() as web:
        for _ in range(50):
            await web.post("/stores/edit")
            await web.put("/v1/stores/77", headers={"authorization": "Bearer esk_bad"})
        assert await stand.rows() == []
        await stand.trail.write_counts()
        await stand.trail.write_counts()
    assert [(each.stage, each.actor_kind, each.action, each.status, each.details) for each in await stand.rows()] == [
        ("refused", "nobody", "POST /stores/edit", 401, '{"times":50}'),
        ("refused", "nobody", "PUT /v1/stores/{code}", 401, '{"times":50}'),
    ]


async def test_refusals_of_one_person_do_not_fill_the_log(stand: Stand) -> None:
    async with stand.browser(Role.OPERATOR) as web:
        for _ in range(trail.REFUSALS + 5):
            await web.post("/stores/edit")
    assert len(await stand.rows()) == trail.REFUSALS
    await stand.trail.write_counts()
    assert (await stand.rows())[-1].details == '{"times":5}'


async def test_counts_that_cannot_be_written_are_written_later(stand: Stand) -> None:
    async with stand.browser() as web:
        await web.post("/stores/edit")
        async with stand.database.sessions.begin() as session:
            await db.fetch(session, "ALTER TABLE audit_log RENAME TO away")
        with pytest.raises(Exception, match="audit_log"):
            await stand.trail.write_counts()
        await web.post("/stores/edit")
        async with stand.database.sessions.begin() as session:
            await db.fetch(session, "ALTER TABLE away RENAME TO audit_log")
    await stand.trail.write_counts()
    assert [each.details for each in await stand.rows()] == ['{"times":2}']


async def test_log_in_has_one_row_with_who_it_was_and_refused_guesses_are_counted(stand: Stand) -> None:
    async with stand.browser() as web:
        assert (await web.post("/login")).status_code == 200
        for _ in range(3):
            assert (await web.post("/login?who=nobody")).status_code == 401
        for _ in range(30):
            assert (await web.post("/login?who=slow")).status_code == 429
        await web.post("/join/a-secret-of-a-link")
    await stand.trail.write_counts()
    assert await stand.told() == [
        ("ended", "person", "POST /login", None, 200),
        ("ended", "nobody", "POST /join/{secret}", str(ANNA), 200),
        ("refused", "nobody", "POST /login", None, 401),
        ("refused", "nobody", "POST /login", None, 429),
    ]
    assert [each.details for each in await stand.rows()][-2:] == ['{"times":3}', '{"times":30}']
    assert "a-secret" not in str(await stand.rows())


async def test_many_requests_at_once_keep_one_chain(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        await asyncio.gather(*(web.post("/stores/edit") for _ in range(40)))
    async with stand.database.sessions.begin() as session:
        assert (await verify(session)).rows == 80
    rows = await stand.rows()
    assert sorted(each.of for each in rows if each.of) == [each.number for each in rows if each.of is None]


async def test_request_waits_for_whoever_appends_and_then_goes_on(stand: Stand) -> None:
    async with stand.browser(Role.ADMINISTRATOR) as web:
        async with stand.database.sessions.begin() as session:
            await chain.lock(session)
            asking = asyncio.create_task(web.post("/stores/edit"))
            done, _ = await asyncio.wait([asking], timeout=0.2)
            assert (done, stand.handlers.called) == (set(), [])
        assert (await asking).status_code == 200
