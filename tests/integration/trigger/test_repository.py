"""Repositories: rows read back completely, are found by indexes, and are deleted by an erasure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import fields, replace

from services.trigger.domain.consents import ConsentStatement, plain_statement
from services.trigger.domain.deciding.stored_decision import EventKey
from services.trigger.domain.respondents import ContactCause, Respondent
from services.trigger.domain.touchpoints import TouchpointKey, TouchpointKind, TouchpointRecord, TouchpointState
from services.trigger.repository import decisions, respondents, touchpoints
from shared.contract.events import Consent
from shared.contract.vocabulary import ConsentPurpose
from shared.database import db
from shared.database.db import Database
from shared.messaging import parking
from shared.messaging.transport import Message
from tests.integration.trigger.samples import NOW, body, decide, later, message, purchase

BARE = TouchpointRecord(TouchpointKey("c1", TouchpointKind.SERVICE, "7"))
FULL = TouchpointRecord(
    BARE.key,
    source="shop",
    event_id="e1",
    invitation_id=UUID(int=7),
    program_id="shop",
    state=TouchpointState.OPEN,
    reversed_at=later(days=1),
    delivered_at=later(days=2),
    details={"service": {"id": "7"}},
)
EIGHT = {
    "service": {"id": "8", "number": "8-A", "kind": "repair"},
    "touchpoint": {"store": "North"},
    "attributes": {"id": 7},
}
NOBODY = Respondent("c1")
ANN = Respondent(
    "c1",
    customer_id=" C1",
    name="Ann",
    email="ann@shop.example",
    phone="+79161234567",
    locale="ru-RU",
    time_zone="Europe/Moscow",
    consent=Consent(email=True, sms=False),
    attributes={"tier": "gold", "age": 41, "vip": True},
    purchases=3,
    first_purchase_at=later(days=-9),
    last_purchase_at=later(days=-1),
    known_at=NOW,
    last_answered_at=later(days=-4),
    last_category="promoter",
    last_score=10,
    last_contacts={
        ContactCause.INVITATION.value: {"shop": later(days=-5)},
        ContactCause.ANSWER.value: {"shop": later(days=-4)},
    },
    erased_at=later(days=-90),
    address_source="shop",
    cleared={"email": later(days=-2)},
    statements={
        "email": (ConsentStatement(given=True, at=later(days=-3), purposes=tuple(ConsentPurpose), text="Write me."),),
        "sms": (plain_statement(False, later(days=-1)),),
    },
)


def test_samples_leave_no_field_out() -> None:
    for full, bare in ((FULL, BARE), (ANN, NOBODY)):
        same = [field.name for field in fields(full) if getattr(full, field.name) == getattr(bare, field.name)]
        assert same in (["key"], ["id", "has_older_id"])


async def test_every_field_of_a_touchpoint_is_stored_and_changed(trigger_db: Database) -> None:
    other = replace(FULL, key=BARE.key._replace(ref="8"), invitation_id=UUID(int=8), details=EIGHT)
    async with trigger_db.sessions.begin() as session:
        await touchpoints.add(session, [BARE, other])
    async with trigger_db.sessions.begin() as session:
        assert await touchpoints.find(session, [BARE.key, other.key]) == {BARE.key: BARE, other.key: other}
        await touchpoints.save(session, [FULL])
    async with trigger_db.sessions.begin() as session:
        assert await touchpoints.find(session, [BARE.key, other.key]) == {BARE.key: FULL, other.key: other}
        await touchpoints.save(session, [BARE])
    async with trigger_db.sessions.begin() as session:
        assert await touchpoints.find(session, [BARE.key]) == {BARE.key: BARE}


async def test_every_field_of_a_respondent_is_stored_and_changed(trigger_db: Database) -> None:
    other = replace(ANN, id="c2")
    async with trigger_db.sessions.begin() as session:
        await respondents.add(session, [NOBODY, other])
    async with trigger_db.sessions.begin() as session:
        assert await respondents.lock(session, ["c1", "c2"]) == {"c1": NOBODY, "c2": other}
        await respondents.save(session, [ANN])
    async with trigger_db.sessions.begin() as session:
        assert await respondents.lock(session, ["c1", "c2"]) == {"c1": ANN, "c2": other}
        await respondents.save(session, [NOBODY])
    async with trigger_db.sessions.begin() as session:
        assert await respondents.lock(session, ["c1"]) == {"c1": NOBODY}


async def test_decision_of_an_event_is_found_by_its_index(trigger_db: Database) -> None:
    """Every incoming event is looked up; a sequential scan would get slower with every decision.

    Only those that were decided before are looked up in the partitions.
    """
    await decide(trigger_db, [purchase(f"e{number}") for number in range(1500)])
    async with trigger_db.sessions.begin() as session:
        await db.fetch(session, "ANALYZE decisions")
        await db.fetch(session, "ANALYZE event_keys")
        before = await _reads(session)
        keys = [EventKey("shop", f"e{number}") for number in range(0, 1000, 10)]
        fresh = [EventKey("another", f"e{number}") for number in range(50)]
        assert len(await decisions.find(session, [*keys, *fresh])) == 100
        after = await _reads(session)
    read = {table: (whole - before[table][0], found - before[table][1]) for table, (whole, found) in after.items()}
    del read["decisions_first"]  # is empty
    assert {table: whole for table, (whole, _) in read.items() if whole} == {}
    assert read.pop("event_keys") == (0, 150)
    assert max(found for _, found in read.values()) == 100


async def _reads(session: Any) -> dict[str, tuple[int, int]]:
    """Return the number of sequential and index scans in this transaction, by table."""
    rows = await db.fetch(
        session,
        "SELECT relname, seq_scan, idx_scan FROM pg_stat_xact_user_tables"
        " WHERE relname = 'event_keys' OR relname LIKE 'decisions\\_%'",
    )
    return {row["relname"]: (row["seq_scan"], row["idx_scan"]) for row in rows}


async def test_erasure_leaves_a_person_in_no_column_of_any_table(trigger_db: Database) -> None:
    """Reads the schema, so that new columns are checked too."""
    person = {
        "id": "OLGA-17",
        "name": "Olga Petrova",
        "email": "olga@example.org",
        "phone": "+79161234567",
        "attributes": {"nickname": "olenka"},
    }
    bought = purchase("e1", order="1", customer=person, attributes={"gift_for": "olenka"})
    unreadable = Message("crm.events", "k", message({**bought, "time": "soon"}).body, position="crm.events/0/1")
    async with trigger_db.sessions.begin() as session:
        await parking.park(session, [(unreadable, "time")])
    await decide(trigger_db, [bought])
    marks = ("Petrova", "olga@example", "9161234567", "olenka")
    assert {table for table, _ in await _where(trigger_db, marks)} >= {"respondents", "touchpoints", "parked"}
    await decide(trigger_db, [body("customer.erased", "e2", customer={"id": "OLGA-17"})], now=NOW + timedelta(days=1))
    left = await _where(trigger_db, marks)
    assert {table for table, _ in left} <= {"outbox"}, "the relay empties it within a second"


async def _where(database: Database, marks: tuple[str, ...]) -> set[tuple[str, str]]:
    columns = """SELECT table_name, column_name, data_type = 'bytea' AS raw FROM information_schema.columns
    WHERE table_schema = current_schema()"""
    found = set()
    async with database.sessions() as session:
        for table, column, raw in await db.fetch(session, columns):
            text = f"encode({column}, 'escape')" if raw else f"{column}::text"
            query = f"SELECT 1 FROM {table} WHERE {text} LIKE ANY($1::text[]) LIMIT 1"  # noqa: S608 - from the schema
            if await db.fetch(session, query, [f"%{mark}%" for mark in marks]):
                found.add((table, column))
    return found
