"""Appends rows to the audit log. Those who append wait for each other, so that one chain grows in every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from shared.database import db
from shared.database.audit.rows import COLUMNS, FIRST_HASH, NewRow, details_text, row_hash
from shared.database.session import Session

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('audit log of ' || current_schema(), 0))"
_HEAD = """SELECT number, hash, greatest(at, clock_timestamp()) AS now FROM (
(SELECT number, hash, at FROM audit_log ORDER BY number DESC LIMIT 1)
UNION ALL (SELECT number, hash, made_at FROM audit_anchors ORDER BY number DESC LIMIT 1)
UNION ALL SELECT 0, $1::bytea, '-infinity') AS heads ORDER BY number DESC LIMIT 1"""
_ADD = f"""INSERT INTO audit_log ({COLUMNS}) SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[],
$4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::smallint[],
$12::bytea[])"""  # noqa: S608 - constants

_CUSTOMER = """INSERT INTO audit_customers (id, respondent_id) VALUES ($1, $2)
ON CONFLICT (respondent_id) DO UPDATE SET respondent_id = excluded.respondent_id RETURNING id"""
_FORGET = "DELETE FROM audit_customers WHERE respondent_id = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class Head:
    """The last row's number and hash; `now` is the time of the next row, which is never before the last one's."""

    number: int
    hash: bytes
    now: datetime


async def lock(session: Session) -> Head:
    """Let nobody else append until the transaction ends."""
    await db.fetch(session, _LOCK)
    (row,) = await db.fetch(session, _HEAD, FIRST_HASH)
    return Head(**row)


async def append(session: Session, rows: Sequence[NewRow]) -> list[int]:
    """Append rows and return their numbers; no other row may be appended until the transaction ends."""
    customers = [None if row.respondent is None else await customer_id(session, row.respondent) for row in rows]
    head = await lock(session)
    before, values = head.hash, []
    for number, (row, customer) in enumerate(zip(rows, customers, strict=True), head.number + 1):
        actor = row.actor.kind.value, row.actor.id
        of_act = row.action, row.subject, customer, details_text(row.details), row.status
        unhashed = number, head.now, row.stage.value, row.of, *actor, *of_act
        before = row_hash(before, unhashed)
        values.append((*unhashed, before))
    await db.fetch(session, _ADD, *map(list, zip(*values, strict=True)))
    return [number for number, *_ in values]


async def customer_id(session: Session, respondent: str) -> UUID:
    """Return the random id that stands for a respondent in the log, until an erasure forgets it."""
    id_: UUID = (await db.fetch(session, _CUSTOMER, uuid4(), respondent))[0]["id"]
    return id_


async def forget(session: Session, respondents: Sequence[str]) -> None:
    """Delete the links from random ids to these respondents; rows of the log stay as they are."""
    await db.fetch(session, _FORGET, list(respondents))
