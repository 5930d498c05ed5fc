"""Invitations that were withdrawn, also before their request arrived."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db

_WITHDRAW = """UPDATE invitations SET state = 'withdrawn', counted = false WHERE id = ANY($1::uuid[]) AND state = 'open'
AND NOT EXISTS (SELECT 1 FROM answers WHERE invitation_id = invitations.id AND NOT suspect) RETURNING id"""


async def withdraw(session: AsyncSession, ids: Sequence[UUID]) -> set[UUID]:
    """Withdraw what is open and not answered by anybody; return which. The rows must be locked."""
    return {row["id"] for row in await db.fetch(session, _WITHDRAW, list(ids))}


_REQUESTS = db.lock_number("scoring", "requests")


async def lock_requests(session: AsyncSession, *, alone: bool) -> None:
    """Let requests and withdrawals wait for each other: a withdrawal must see the request, or be seen by it."""
    how = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await db.fetch(session, f"SELECT {how}($1)", _REQUESTS)


_REMEMBER = """INSERT INTO withdrawn (invitation_id) SELECT id FROM unnest($1::uuid[]) AS w (id)
WHERE NOT EXISTS (SELECT FROM invitations i WHERE i.id = w.id) ON CONFLICT DO NOTHING"""


async def mark(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Keep a mark for invitations whose withdrawal came before their request."""
    await db.fetch(session, _REMEMBER, list(ids))


async def marked(session: AsyncSession, ids: Sequence[UUID]) -> set[UUID]:
    """Say which were withdrawn before they were requested."""
    rows = await db.fetch(session, "SELECT invitation_id AS id FROM withdrawn WHERE invitation_id = ANY($1)", list(ids))
    return {row["id"] for row in rows}
