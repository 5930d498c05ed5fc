"""The ledger of contact attempts: one row for each try that ended a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.dispatcher.domain.steps import Bill, LedgerEntry
from shared.database import db
from shared.database.session import Session

_ADD = """attempted AS (INSERT INTO attempts (id, invitation_id, step, try, revision, channel, provider, state, reason,
    provider_message_id, at, segments, cost, currency, phone, ask_at)
SELECT a.*, CASE WHEN channel = 'sms' THEN (
    SELECT sha256(convert_to(lower(trim(i.request #>> '{contact,phone}')), 'UTF8')) FROM invitations i
    WHERE i.id = a.invitation_id
) END, CASE WHEN channel = 'sms' AND state = 'unknown' THEN clock_timestamp() + interval '1 minute' END
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[], $12::int[], $13::numeric[], $14::text[])
    AS a (id, invitation_id, step, try, revision, channel, provider, state, reason, message_id, at, segments, cost,
        currency))"""


def add_statement(entries: Sequence[LedgerEntry]) -> db.Write | None:
    """Return the statement that stores entries. The provider is asked about `unknown` text messages a minute later."""
    if not entries:
        return None
    events, bills = [entry.event for entry in entries], [entry.bill or _NO_BILL for entry in entries]
    columns = (
        [event.attempt_id for event in events],
        [event.invitation_id for event in events],
        [event.step for event in events],
        [entry.number for entry in entries],
        [event.revision for event in events],
        [event.channel for event in events],
        [event.provider for event in events],
        [event.state for event in events],
        _short([event.reason for event in events]),
        _short([entry.message_id for entry in entries]),
        [event.at for event in events],
        _short([bill.segments for bill in bills]),
        _short([bill.cost for bill in bills]),
        _short([bill.currency for bill in bills]),
    )
    return db.Write(_ADD, columns)


def _short(values: list[Any]) -> list[Any]:
    """Leave out values that are all None: `unnest` fills a column that is shorter than the others with nulls."""
    return values if any(value is not None for value in values) else []


_NO_BILL = Bill()
_HISTORY = """SELECT id, step, try, revision, provider, state, reason, provider_message_id, at, segments, cost, currency
FROM attempts
WHERE invitation_id = $1 ORDER BY id"""


async def history(session: Session, invitation_id: UUID) -> list[asyncpg.Record]:
    return await db.fetch(session, _HISTORY, invitation_id)
