"""Withdrawn invitations, also those whose request has not arrived yet."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.database import db
from shared.database.session import Session

_WITHDRAW = """UPDATE invitations SET state = 'withdrawn', counted = false WHERE id = ANY($1::uuid[]) AND state = 'open'
AND NOT EXISTS (SELECT 1 FROM answers WHERE invitation_id = invitations.id AND NOT suspect) RETURNING id"""


async def withdraw(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    """Withdraw open invitations without a genuine answer; return their ids. The rows must be locked."""
    return {row["id"] for row in await db.fetch(session, _WITHDRAW, list(ids))}


_REQUESTS = db.lock_number("scoring", "requests")


async def lock_requests(session: Session, *, alone: bool) -> None:
    """Lock until the end of the transaction: withdrawals (`alone`) exclude requests and each other.

    So of a request and its withdrawal, the later transaction sees what the earlier one stored.
    """
    lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await db.fetch(session, f"SELECT {lock}($1)", _REQUESTS)


_MARK = """INSERT INTO withdrawn (invitation_id) SELECT id FROM unnest($1::uuid[]) AS w (id)
WHERE NOT EXISTS (SELECT FROM invitations i WHERE i.id = w.id) ON CONFLICT DO NOTHING"""


async def mark(session: Session, ids: Sequence[UUID]) -> None:
    """Store the withdrawals whose request has not arrived yet."""
    await db.fetch(session, _MARK, list(ids))


async def marked(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    """Return the ids that were withdrawn before their request arrived."""
    rows = await db.fetch(session, "SELECT invitation_id AS id FROM withdrawn WHERE invitation_id = ANY($1)", list(ids))
    return {row["id"] for row in rows}
