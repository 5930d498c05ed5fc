"""Compares the ledger with our events on the log: a database restored from a backup lacks some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from shared.database import db
from shared.database.session import Session


class DatabaseIdentity(NamedTuple):
    """Identifies a database: another one, or a restored copy in its place, differs in at least one of the fields."""

    started_at: str
    database: int
    attempts: int


_IDENTITY = """SELECT pg_postmaster_start_time()::text AS started_at, d.oid::bigint AS database,
'attempts'::regclass::oid::bigint AS attempts FROM pg_database d WHERE d.datname = current_database()"""


async def database_identity(session: Session) -> DatabaseIdentity:
    return DatabaseIdentity(**(await db.fetch(session, _IDENTITY))[0])


# an invitation whose outcome is remembered in `early` will not be performed, so its attempts are not lacking
_LACKING = """SELECT a.id FROM unnest($1::uuid[], $2::uuid[]) AS a (id, invitation_id)
WHERE NOT EXISTS (SELECT FROM attempts t WHERE t.id = a.id)
    AND NOT EXISTS (SELECT FROM early e WHERE e.invitation_id = a.invitation_id)"""
_NOT_CLOSED = """SELECT c.id FROM unnest($1::uuid[]) AS c (id)
WHERE NOT EXISTS (SELECT FROM invitations i WHERE i.id = c.id AND i.state = 'closed')
    AND NOT EXISTS (SELECT FROM early e WHERE e.invitation_id = c.id)"""


async def lacking(session: Session, attempts: Mapping[UUID, UUID]) -> set[UUID]:
    """Return those of these attempts, given with their invitations, that the ledger lacks."""
    rows = await db.fetch(session, _LACKING, list(attempts), list(attempts.values()))
    return {row["id"] for row in rows}


async def not_closed(session: Session, closed: Collection[UUID]) -> set[UUID]:
    """Return those of these closed invitations that are not closed here."""
    return {row["id"] for row in await db.fetch(session, _NOT_CLOSED, list(closed))}


_TRIES = """SELECT invitation_id, step, max(try) AS tries FROM attempts
WHERE invitation_id = ANY($1::uuid[]) GROUP BY invitation_id, step"""


async def tries(session: Session, invitations: Collection[UUID]) -> dict[tuple[UUID, int], int]:
    """Return the number of tries of each step in the ledger."""
    rows = await db.fetch(session, _TRIES, list(invitations))
    return {(row["invitation_id"], row["step"]): row["tries"] for row in rows}
