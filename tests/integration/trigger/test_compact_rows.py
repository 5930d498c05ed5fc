"""Compact rows say the same as those that the version before reads, which are written for a day after the upgrade."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from deploy.databases import MIGRATIONS
from services.trigger.domain.addresses import AddressRecord
from services.trigger.domain.consents import ConsentStatement, plain_statement
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import (
    InvitationKey,
    TouchpointKey,
    TouchpointKind,
    TouchpointRecord,
    TouchpointState,
)
from services.trigger.main import install_programs
from services.trigger.repository import addresses, respondents, touchpoints
from shared import migrations
from shared.clock import ManualClock
from shared.contract.events import Consent
from shared.contract.vocabulary import ChannelKind, ConsentPurpose
from shared.database import db, embedded
from shared.database.db import Database
from tests.integration.trigger.samples import (
    CUSTOMER,
    NOW,
    SETTINGS,
    cancellation,
    decide,
    decided,
    known_respondents,
    later,
    purchase,
    reasons,
)
from tests.integration.trigger.test_repository import ANN, NOBODY

TRIGGER = MIGRATIONS["trigger"]
BOUGHT = Respondent(
    "c1",
    customer_id="c1",
    name="Ann",
    email="ann@shop.example",
    consent=Consent(email=True, call=False),
    purchases=1,
    first_purchase_at=NOW,
    last_purchase_at=NOW,
    known_at=NOW,
    last_contacts={"invitation": {"after-purchase": later(microseconds=250_001)}},
)
PEOPLE = {
    "nobody": NOBODY,
    "every_field": ANN,
    "bought": BOUGHT,
    "customer_with_another_id": replace(BOUGHT, customer_id="C1"),
    "erased": BOUGHT.erased(NOW),
    "took_back": replace(BOUGHT, purchases=0, first_purchase_at=None, last_purchase_at=None),
    "bought_before": replace(BOUGHT, purchases=2, first_purchase_at=later(days=-1), last_purchase_at=later(days=1)),
    "asked_by_two_programs": replace(
        BOUGHT,
        last_contacts={
            "invitation": {"after-purchase": NOW, "shop": later(days=-2), "third": later(days=-3)},
            "answer": {"shop": NOW},
        },
    ),
    "answered_only": replace(BOUGHT, last_contacts={"answer": {"shop": NOW}}),
    "no_consent_known": replace(BOUGHT, consent=Consent()),
    "consented_before": replace(BOUGHT, statements={"email": (plain_statement(True, later(days=-1)),)}),
    "allows_offers": replace(
        BOUGHT,
        statements={
            "email": (
                ConsentStatement(given=True, at=NOW, purposes=(ConsentPurpose.SURVEY,), source="till"),
                ConsentStatement(given=False, at=later(days=-1), purposes=(ConsentPurpose.OFFERS,)),
            ),
            "sms": (ConsentStatement(given=True, at=NOW, purposes=(ConsentPurpose.OFFERS,)),),
        },
    ),
}
_WIDE = "SELECT customer_id, consent, attributes, first_purchase_at, last_purchase_at, moments FROM respondents"


async def set_compact(database: Database, *, compact: bool) -> None:
    since = "-infinity" if compact else "infinity"
    async with database.sessions.begin() as session:
        await db.fetch(session, "UPDATE compact_rows SET since = $1::text::timestamptz", since)


async def _fetch(database: Database, sql: str, *values: Any) -> list[dict[str, Any]]:
    async with database.sessions.begin() as session:
        return [dict(row) for row in await db.fetch(session, sql, *values)]


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("person", PEOPLE.values(), ids=PEOPLE)
async def test_respondent_is_read_as_written(trigger_db: Database, person: Respondent, *, compact: bool) -> None:
    await set_compact(trigger_db, compact=compact)
    async with trigger_db.sessions.begin() as session:
        await respondents.add(session, [person])
    assert await known_respondents(trigger_db) == [person]
    await set_compact(trigger_db, compact=not compact)
    async with trigger_db.sessions.begin() as session:
        await respondents.save(session, [person])
    assert await known_respondents(trigger_db) == [person]


@pytest.mark.parametrize("consents", ["n--", "---", None])
async def test_consent_that_the_version_before_changed_counts(trigger_db: Database, consents: str | None) -> None:
    """It does not know the column of statements, and leaves it as it is."""
    await set_compact(trigger_db, compact=True)
    async with trigger_db.sessions.begin() as session:
        await respondents.add(session, [PEOPLE["allows_offers"]])
        await db.fetch(session, "UPDATE respondents SET consents = $1", consents)
    [known] = await known_respondents(trigger_db)
    assert known.consent == Consent(email=False if consents == "n--" else None)
    assert known.offers == [ChannelKind.SMS]
    assert "email" not in known.statements


@pytest.mark.parametrize("person", PEOPLE.values(), ids=PEOPLE)
async def test_row_of_the_version_before_leaves_nothing_out(trigger_db: Database, person: Respondent) -> None:
    await set_compact(trigger_db, compact=False)
    async with trigger_db.sessions.begin() as session:
        await respondents.add(session, [person])
    wide = await _fetch(trigger_db, _WIDE)
    await set_compact(trigger_db, compact=True)
    async with trigger_db.sessions.begin() as session:
        await respondents.save(session, [person])
    await _downgrade(trigger_db)
    assert _comparable(await _fetch(trigger_db, _WIDE)) == _comparable(wide)


async def _downgrade(database: Database) -> None:
    async with database.engine.connect() as connection:
        await migrations._run(connection, TRIGGER, "downgrade", to="0009")


def _comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write times in JSON alike: a zone may be `Z` or `+00:00`."""
    return [{**row, "moments": str(row["moments"]).replace("+00:00", "Z")} for row in rows]


async def test_new_installation_writes_compact_rows_at_once(installed: Database) -> None:
    customer = {**CUSTOMER, "consent": {"email": True}}
    assert await reasons(installed, [purchase("e1", customer=customer)]) == ["asked"]
    [row] = await _fetch(installed, _WIDE)
    assert {name for name, value in row.items() if value is not None} == set()
    [row] = await _fetch(installed, "SELECT length(digest) AS bytes, trail, consents FROM decisions, respondents")
    assert row == {"bytes": 16, "trail": None, "consents": "y--"}


@pytest.mark.parametrize("compact", [True, False])
async def test_repeated_event_is_recognized_by_either_digest(installed: Database, *, compact: bool) -> None:
    await set_compact(installed, compact=compact)
    assert await reasons(installed, [purchase("e1")]) == ["asked"]
    await set_compact(installed, compact=not compact)
    assert await reasons(installed, [purchase("e1"), purchase("e1", order="another")]) == ["asked", "conflict"]
    [decision] = await decided(installed, "crm.purchase.completed")
    assert [trial["rule"] for trial in decision.trail] == ["asked"]


async def test_time_of_the_decision_is_stored_once(installed: Database) -> None:
    for event, compact in (("e1", False), ("e2", True), ("e3", True)):
        await set_compact(installed, compact=compact)
        customer = {**CUSTOMER, "id": event, "email": f"{event}@shop.example"}
        assert await reasons(installed, [purchase(event, customer=customer)]) == ["asked"]
    rows = await _fetch(installed, "SELECT own_values FROM decisions ORDER BY id")
    assert [row["own_values"] for row in rows] == [[NOW.isoformat().replace("+00:00", "Z")], None, None]
    found = [decision.trail for decision in await decided(installed, "crm.purchase.completed")]
    assert found[0][0]["facts"]["send_at"] == NOW.isoformat().replace("+00:00", "Z")
    assert found == [found[0]] * 3
    async with installed.engine.connect() as connection:
        await migrations._run(connection, TRIGGER, "downgrade", to="0013")
    assert await _fetch(installed, "SELECT FROM decisions WHERE own_values IS NULL") == []
    moments = await _fetch(installed, "SELECT (own_values->>0)::timestamptz = decided_at AS same FROM decisions")
    assert moments == [{"same": True}] * 3


_TOUCHPOINT = "SELECT source, event_id, invitation_id, program_id FROM touchpoints"
_TOUCHPOINT_KEY = TouchpointKey("c1", TouchpointKind.ORDER, "A-1")


async def _touchpoint(database: Database) -> TouchpointRecord:
    async with database.sessions.begin() as session:
        return (await touchpoints.find(session, [_TOUCHPOINT_KEY]))[_TOUCHPOINT_KEY]


async def test_compact_touchpoint_is_that_of_before(installed: Database) -> None:
    assert await reasons(installed, [purchase("e1", order="A-1")]) == ["asked"]
    assert set((await _fetch(installed, _TOUCHPOINT))[0].values()) == {None}
    [decision] = await decided(installed, "crm.purchase.completed")
    found = await _touchpoint(installed)
    assert (found.source, found.event_id, found.invitation_id) == ("shop", "e1", decision.invitation_id)
    assert (found.program_id, found.state) == ("after-purchase", "open")
    await _downgrade(installed)
    [row] = await _fetch(installed, _TOUCHPOINT)
    assert tuple(row.values()) == (found.source, found.event_id, found.invitation_id, found.program_id)


async def test_touchpoint_of_an_event_without_a_survey_has_no_program(installed: Database) -> None:
    asked, quarantined = purchase("e1"), purchase("e2", order="A-1")
    assert await reasons(installed, [asked, quarantined]) == ["asked", "quarantined"]
    found = await _touchpoint(installed)
    assert (found.event_id, found.invitation_id, found.program_id, found.state) == ("e2", None, None, None)


@pytest.mark.parametrize("compact", [True, False])
async def test_survey_is_withdrawn_and_answered_whatever_the_row(installed: Database, *, compact: bool) -> None:
    await set_compact(installed, compact=compact)
    [decision] = await decide(installed, [purchase("e1", order="A-1")])
    assert isinstance(decision, StoredDecision)
    assert decision.invitation_id is not None
    await set_compact(installed, compact=not compact)
    key = InvitationKey("c1", decision.invitation_id)
    async with installed.sessions.begin() as session:
        assert await touchpoints.programs_of(session, [key]) == {decision.invitation_id: "after-purchase"}
        other = {InvitationKey("c1", uuid7()): TouchpointState.CLOSED}
        await touchpoints.set_states(session, {key: TouchpointState.ANSWERED, **other})
    assert (await _touchpoint(installed)).state == "answered"
    assert await reasons(installed, [cancellation("e2", order="A-1")]) == ["nothing_to_withdraw"]
    found = await _touchpoint(installed)
    assert (found.event_id, found.invitation_id, found.state) == ("e1", decision.invitation_id, "answered")


ADDRESSES = {
    "nobody": AddressRecord(b"\x01" * 32),
    "one": AddressRecord(b"\x02" * 32, ("c1",), {"invitation": {"shop": later(seconds=0.5)}}),
    "several": AddressRecord(b"\x03" * 32, ("c1", "c2", "c3"), {"invitation": {"shop": NOW, "other": later(days=1)}}),
    "left": AddressRecord(b"\x04" * 32, (), {"invitation": {"shop": NOW}}),
    "never_invited": AddressRecord(b"\x05" * 32, ("c1", "c2")),
}


async def test_addresses_are_read_as_written(trigger_db: Database) -> None:
    records = {record.fingerprint: record for record in ADDRESSES.values()}
    async with trigger_db.sessions.begin() as session:
        await addresses.add(session, records.values())
    async with trigger_db.sessions.begin() as session:
        assert await addresses.lock(session, records) == records
        swapped = {one: replace(ADDRESSES["several"], fingerprint=one) for one in records}
        await addresses.save(session, swapped.values())
    async with trigger_db.sessions.begin() as session:
        assert await addresses.lock(session, [*records, b"\x06" * 32]) == swapped


_CUSTOMER = """INSERT INTO respondents (id, customer_id, email, known_at, moments, spread)
VALUES ('c1', 'c1', 'ann@shop.example', $1, '{}', 0)"""
_DECISION = """INSERT INTO decisions (id, source, event_id, digest, type, respondent_id, event_time, decided_at, reason,
trail) VALUES ($1, 'shop', 'old', '', 'crm.customer.updated', 'c1', $2, $2, 'asked', '[]')"""
_ADDRESS = "INSERT INTO addresses (fingerprint, respondents, last_contacts) VALUES ($1, $2, $3)"
_IN_A_DAY = "SELECT since > clock_timestamp() + interval '23 hours' AS day FROM compact_rows"


@pytest.fixture
async def before(postgres: embedded.Embedded) -> AsyncIterator[Database]:
    """Trigger at the revision before, with a customer."""
    urls: Mapping[str, str] = await embedded.prepare(postgres, f"c{uuid4().hex[:12]}")
    database = Database(urls["trigger"], schema="trigger", pool_size=2)
    await migrations.upgrade(database, TRIGGER, to="0009")
    await _fetch(database, _CUSTOMER, later(days=-9))
    await _fetch(database, _DECISION, uuid7(), later(days=-9))
    yield database
    await database.close()


async def test_rows_of_before_are_written_for_a_day_after_the_upgrade(before: Database) -> None:
    await migrations.upgrade(before, TRIGGER)
    await install_programs(before, ManualClock(NOW))
    assert await _fetch(before, _IN_A_DAY) == [{"day": True}]
    assert await reasons(before, [purchase("e1")]) == ["asked"]
    assert None not in (await _fetch(before, _WIDE))[0].values()
    [row] = await _fetch(before, "SELECT length(digest) AS bytes, trail FROM decisions WHERE event_id = 'e1'")
    assert row == {"bytes": 32, "trail": []}


async def test_contacts_at_an_address_are_kept_by_the_upgrade(before: Database) -> None:
    fingerprints = [SETTINGS.address_keys.fingerprint(f"{name}@shop.example") for name in ("ann", "two", "none")]
    asked = f'{{"invitation": {{"after-purchase": "{NOW.isoformat()}", "other": "{later(days=1).isoformat()}"}}}}'
    for fingerprint, people, contacts in zip(
        fingerprints, (["c1"], ["c1", "c2"], []), (asked, asked, "{}"), strict=True
    ):
        await _fetch(before, _ADDRESS, fingerprint, people, contacts)
    await migrations.upgrade(before, TRIGGER)
    await install_programs(before, ManualClock(NOW))
    expected = {"invitation": {"after-purchase": NOW, "other": later(days=1)}}
    async with before.sessions.begin() as session:
        found = await addresses.lock(session, fingerprints)
    assert [(found[one].respondents, found[one].last_contacts) for one in fingerprints] == [
        (("c1",), expected),
        (("c1", "c2"), expected),
        ((), {}),
    ]
    same_address = {"id": "c9", "email": "ann@shop.example"}
    assert await reasons(before, [purchase("e1", customer=same_address)]) == ["quarantined"]
