"""Customers, surveys and opt-outs stored before ids had namespaces and case keep their meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from deploy.databases import MIGRATIONS
from services.trigger.main import install_programs
from shared import migrations
from shared.clock import ManualClock
from shared.contract.events import SurveyWithdrawn
from shared.database import db, embedded
from shared.database.db import Database
from tests.integration.trigger.samples import NOW, body, cancellation, published, purchase, reasons

TRIGGER = MIGRATIONS["trigger"]
BEFORE_IDENTITIES = "0004"
INVITATION = UUID("01a2280c-0000-7000-8000-000000000001")
ASKED = (NOW - timedelta(days=3)).isoformat()

_CUSTOMERS = """INSERT INTO respondents (id, customer_id, email, known_at, moments, spread)
SELECT id, customer_id, email, $4, moments, 0
FROM unnest($1::text[], $2::text[], $3::text[], $5::jsonb[]) AS r (id, customer_id, email, moments)"""
_SURVEY = """INSERT INTO touchpoints (respondent_id, kind, ref, source, event_id, invitation_id, program_id, state)
VALUES ('c-asked', 'order', 'A-1', 'shop', 'old', $1, 'after-purchase', 'open')"""
_DECISION = """INSERT INTO decisions
(id, source, event_id, digest, type, respondent_id, event_time, decided_at, reason, trail)
VALUES ('01a2280c-0000-7000-8000-000000000002', 'shop', 'old', '', 'crm.purchase.completed', 'c-asked', $1, $1, 'asked',
'[]')"""
_OPT_OUT = "INSERT INTO suppressions (respondent_id, reason) VALUES ('c-gone', 'opt_out')"


@pytest.fixture
async def upgraded(postgres: embedded.Embedded) -> AsyncIterator[Database]:
    """Trigger with data of the revision before identities, migrated to the newest."""
    urls: Mapping[str, str] = await embedded.prepare(postgres, f"e{uuid4().hex[:12]}")
    database = Database(urls["trigger"], schema="trigger", pool_size=2)
    await migrations.upgrade(database, TRIGGER, to=BEFORE_IDENTITIES)
    async with database.sessions.begin() as session:
        await db.fetch(
            session,
            _CUSTOMERS,
            ["c-asked", "c-gone"],
            ["C-Asked", "C-Gone"],
            ["asked@shop.example", "gone@shop.example"],
            NOW - timedelta(days=3),
            [f'{{"invitation": {{"after-purchase": "{ASKED}"}}}}', "{}"],
        )
        await db.fetch(session, _SURVEY, INVITATION)
        await db.fetch(session, _DECISION, NOW - timedelta(days=3))
        await db.fetch(session, _OPT_OUT)
    await migrations.upgrade(database, TRIGGER)
    await install_programs(database, ManualClock(NOW))
    yield database
    await database.close()


@pytest.mark.parametrize("id_", ["C-Asked", "c-asked", "C-ASKED"])
async def test_customer_asked_before_the_upgrade_is_still_in_quarantine(upgraded: Database, id_: str) -> None:
    assert await reasons(upgraded, [purchase("e1", customer={"id": id_})]) == ["quarantined"]


async def test_cancellation_finds_the_survey_of_before(upgraded: Database) -> None:
    assert await reasons(upgraded, [cancellation("e1", order="A-1", customer={"id": "C-Asked"})]) == ["withdrawn"]
    [withdrawn] = await published(upgraded)
    assert isinstance(withdrawn.payload, SurveyWithdrawn)
    assert withdrawn.payload.invitation_id == INVITATION


async def test_customer_of_one_source_goes_on_in_the_namespace_of_that_source_only(upgraded: Database) -> None:
    own = {"id": "C-Asked", "namespace": "shop"}
    other = {"id": "C-Asked", "namespace": "till", "email": "other@shop.example"}
    sent = [
        purchase("e1", source="shop", customer=own),
        cancellation("e2", source="shop", order="A-1", customer=own),
        purchase("e3", source="till", customer=other),
    ]
    assert await reasons(upgraded, sent) == ["quarantined", "withdrawn", "asked"]


async def test_opt_out_of_before_holds_for_the_customer_and_the_address(upgraded: Database) -> None:
    same, other = {"id": "C-Gone"}, {"id": "new-id", "email": "Gone@shop.example"}
    assert await reasons(upgraded, [purchase("e1", customer=same), purchase("e2", customer=other)]) == [
        "suppressed",
        "suppressed",
    ]


async def test_new_customers_whose_ids_differ_in_case_are_two(upgraded: Database) -> None:
    people = [{"id": id_, "email": f"{number}@shop.example"} for number, id_ in enumerate(("XyZ", "xyz"))]
    events = [purchase(f"e{number}", customer=each) for number, each in enumerate(people)]
    assert await reasons(upgraded, events) == ["asked", "asked"]


async def test_erasure_finds_a_customer_of_before_by_any_case(upgraded: Database) -> None:
    await reasons(upgraded, [body("customer.erased", "e1", customer={"id": "C-ASKED"})])
    async with upgraded.sessions() as session:
        rows = await db.fetch(session, "SELECT id, email FROM respondents ORDER BY id")
    assert [tuple(row) for row in rows] == [("c-asked", None), ("c-gone", "gone@shop.example")]
