"""Calls that the desk has and has not closed yet.

Those of a version before stand in `steps`; the view `calls` has both.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.database import db
from shared.database.session import Session

_CLOSE = """WITH earlier AS (UPDATE steps SET call_task = NULL WHERE call_task = ANY($1::uuid[]))
DELETE FROM open_calls WHERE call_task = ANY($1::uuid[])"""
_OF = "SELECT invitation_id, call_task FROM calls WHERE invitation_id = ANY($1::uuid[])"


async def close(session: Session, tasks: Collection[UUID]) -> None:
    """Store that the desk has closed calls."""
    await db.fetch(session, _CLOSE, list(tasks))


async def recall(session: Session, invitations: Collection[UUID]) -> list[tuple[UUID, UUID]]:
    """Remove the open calls of locked invitations; return them as (invitation, task)."""
    found = [(row["invitation_id"], row["call_task"]) for row in await db.fetch(session, _OF, list(invitations))]
    if found:
        await close(session, [task for _, task in found])
    return found
