"""Open invitations for which nothing is planned: each is the result of a fault.

An invitation whose steps have all ended and may have reached the respondent is not stalled: it waits for an answer
and expires.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.dispatcher.domain.steps import REACHED_ATTEMPTS
from shared.database import db
from shared.database.session import Session

# Almost every open invitation waits for something, so that is looked up first, and only then what the others sent.
_STALLED = """WITH idle AS MATERIALIZED (
    SELECT i.id, jsonb_array_length(coalesce(i.request->'plan', c.document->'plan')) AS planned
    FROM invitations i LEFT JOIN contents c ON c.digest = i.content WHERE i.state = 'open' {only}
    AND NOT EXISTS (SELECT FROM due d WHERE d.invitation_id = i.id)
    AND NOT EXISTS (SELECT FROM held h WHERE h.invitation_id = i.id)
    AND NOT EXISTS (SELECT FROM halted h WHERE h.invitation_id = i.id)
    AND NOT EXISTS (SELECT FROM calls c WHERE c.invitation_id = i.id)
    AND NOT EXISTS (SELECT FROM steps s WHERE s.invitation_id = i.id AND s.state IN ('planned', 'leased', 'in_flight'))
) SELECT id FROM idle i WHERE (SELECT count(DISTINCT a.step) FROM attempts a WHERE a.invitation_id = i.id) < planned
OR NOT EXISTS (SELECT FROM attempts a WHERE a.invitation_id = i.id AND a.state = ANY($1::text[])) ORDER BY id"""
_AMONG = _STALLED.format(only="AND i.id = ANY($2::uuid[])")
_ALL = _STALLED.format(only="")


async def among(session: Session, ids: Collection[UUID]) -> list[UUID]:
    return [row["id"] for row in await db.fetch(session, _AMONG, REACHED_ATTEMPTS, list(ids))]


async def of_all(session: Session) -> list[UUID]:
    """Look at every open invitation, which takes long where there are many."""
    return [row["id"] for row in await db.fetch(session, _ALL, REACHED_ATTEMPTS)]


# both ids begin with the machine time at which they were made
_CHANGED = """SELECT * FROM (
    (SELECT id, invitation_id FROM attempts WHERE id > $1 ORDER BY id LIMIT $2)
    UNION ALL (SELECT id, id FROM invitations WHERE id > $1 ORDER BY id LIMIT $2)
) AS changes ORDER BY id LIMIT $2"""
_PAGE = """SELECT id, expires_at FROM invitations WHERE state = 'open' AND (expires_at, id) > ($1, $2)
ORDER BY expires_at, id LIMIT $3"""


class PagePosition(NamedTuple):
    """The last invitation of a page, in the order of their ends."""

    expires_at: datetime
    id: UUID


class Change(NamedTuple):
    """An invitation that was made, or of which a step ended; the ids of changes are in the order of time."""

    id: UUID
    invitation: UUID


async def changes(session: Session, after: UUID, *, limit: int) -> list[Change]:
    """Return the oldest changes after this one."""
    return [Change(*row) for row in await db.fetch(session, _CHANGED, after, limit)]


async def open_page(session: Session, after: PagePosition, *, limit: int) -> list[PagePosition]:
    rows = await db.fetch(session, _PAGE, *after, limit)
    return [PagePosition(row["expires_at"], row["id"]) for row in rows]


_TURN = """UPDATE leases SET holder = $1, until = clock_timestamp() + $2::interval
WHERE name = 'reconciler' AND (holder = $1 OR until < clock_timestamp()) RETURNING 1"""


async def take_turn(session: Session, holder: UUID, *, lasting: timedelta) -> bool:
    """Lease the search to one dispatcher; return False while another one has it."""
    return bool(await db.fetch(session, _TURN, holder, lasting))
