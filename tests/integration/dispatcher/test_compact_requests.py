"""Requests without what others have in common are read as they were, by SQL too, and after a downgrade."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from deploy.databases import MIGRATIONS
from services.dispatcher.domain.stored_requests import RequestReader, StoredRequest
from services.dispatcher.repository import invitations
from shared import migrations
from shared.contract.events import EventRef, SurveyRequested
from shared.database import db
from tests.integration.dispatcher.conftest import ADDRESS_KEYS, NOW, request

DISPATCHER = MIGRATIONS["dispatcher"]
SOLD = EventRef(
    source="till",
    id="e2",
    type="crm.purchase.completed",
    time=NOW + timedelta(microseconds=7),
    subject="48213",
    number="A-7",
    amount=Decimal("12.50"),
    currency="EUR",
)
REQUESTS = {
    "customer_is_respondent": request(),
    "another_customer": request("r2", customer_id="R2", event=SOLD),
    "part_of_a_second": request("r3", expires_at=NOW + timedelta(days=3, microseconds=1), event=SOLD),
}


async def _rows(database: db.Database, sql: str, *values: Any) -> list[Any]:
    async with database.sessions.begin() as session:
        return list(await db.fetch(session, sql, *values))


async def _store(database: db.Database, asked: SurveyRequested, *, compact: bool) -> None:
    since = "-infinity" if compact else "infinity"
    async with database.sessions.begin() as session:
        await db.fetch(session, "UPDATE compact_rows SET since = $1::text::timestamptz", since)
        await invitations.insert(session, [(asked, b"link")], address_keys=ADDRESS_KEYS)


async def _views(database: db.Database) -> list[SurveyRequested]:
    rows = await _rows(database, "SELECT request::text FROM requests ORDER BY id")
    return [SurveyRequested.model_validate_json(row["request"]) for row in rows]


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
async def test_request_is_read_as_it_was_stored(
    dispatcher_db: db.Database, asked: SurveyRequested, *, compact: bool
) -> None:
    await _store(dispatcher_db, asked, compact=compact)
    assert await _views(dispatcher_db) == [asked]
    async with dispatcher_db.sessions.begin() as session:
        [summary] = await invitations.newest(session, limit=9, outcome=None, respondents=None)
        assert await invitations.by_unsubscribe_link(session, b"link") == asked
        found = await invitations.open_one(session, invitation_id=None, customer=asked.customer_id, now=NOW)
    assert found == asked
    assert summary["customer_id"] == asked.customer_id
    assert summary["send_at"].replace("+00:00", "Z") == NOW.isoformat().replace("+00:00", "Z")
    [row] = await _rows(dispatcher_db, "SELECT id, respondent_id, expires_at, request::text, content FROM invitations")
    contents = await _rows(dispatcher_db, "SELECT digest, document::text FROM contents")
    reader = RequestReader({each["digest"]: each["document"] for each in contents})
    assert reader.read(StoredRequest(*row)) == asked


async def test_requests_of_one_kind_share_their_content(dispatcher_db: db.Database) -> None:
    for number in range(3):
        event = SOLD.model_copy(update={"id": f"e{number}", "amount": Decimal(number)})
        await _store(dispatcher_db, request(f"r{number}", event=event), compact=True)
    assert len(await _rows(dispatcher_db, "SELECT FROM contents")) == 1


@pytest.mark.parametrize("compact", [True, False])
async def test_downgrade_writes_requests_that_the_version_before_reads(
    dispatcher_db: db.Database, *, compact: bool
) -> None:
    for asked in REQUESTS.values():
        await _store(dispatcher_db, asked, compact=compact)
    expected = sorted(REQUESTS.values(), key=lambda asked: asked.invitation_id)
    async with dispatcher_db.engine.connect() as connection:
        await migrations._run(connection, DISPATCHER, "downgrade", to="0011")
    assert await _views(dispatcher_db) == expected
    rows = await _rows(dispatcher_db, "SELECT jsonb_array_length(request->'event') AS n, request FROM invitations")
    assert {row["n"] for row in rows} == {8}
    assert all({"customer_id", "send_at"} <= set(row["request"]) for row in rows)
    await migrations.upgrade(dispatcher_db, DISPATCHER)
    assert await _views(dispatcher_db) == expected
