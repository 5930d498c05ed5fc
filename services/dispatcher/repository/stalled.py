"""Open invitations for which nothing is planned: each is the result of a fault.

An invitation whose steps have all ended and may have reached the respondent is not stalled: it waits for an answer
and expires.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.domain.steps import REACHED_ATTEMPTS
from shared.database import db
from shared.ids import first_id

_STALLED = """SELECT i.id FROM invitations i WHERE i.state = 'open'
AND NOT EXISTS (SELECT FROM due d WHERE d.invitation_id = i.id)
AND NOT EXISTS (SELECT FROM held h WHERE h.invitation_id = i.id)
AND NOT EXISTS (SELECT FROM halted h WHERE h.invitation_id = i.id)
AND NOT EXISTS (SELECT FROM calls c WHERE c.invitation_id = i.id)
AND NOT EXISTS (SELECT FROM steps s WHERE s.invitation_id = i.id AND s.state IN ('planned', 'leased', 'in_flight'))
AND (
    (SELECT count(DISTINCT a.step) FROM attempts a WHERE a.invitation_id = i.id)
        < (SELECT jsonb_array_length(r.request -> 'plan') FROM requests r WHERE r.id = i.id)
    OR NOT EXISTS (SELECT FROM attempts a WHERE a.invitation_id = i.id AND a.state = ANY($1::text[]))
)"""
_AMONG = f"{_STALLED} AND i.id = ANY($2::uuid[]) ORDER BY i.id"
_ALL = f"{_STALLED} ORDER BY i.id"


async def among(session: AsyncSession, ids: Collection[UUID]) -> list[UUID]:
    return [row["id"] for row in await db.fetch(session, _AMONG, REACHED_ATTEMPTS, list(ids))]


async def of_all(session: AsyncSession) -> list[UUID]:
    """Look at every open invitation, which takes long where there are many."""
    return [row["id"] for row in await db.fetch(session, _ALL, REACHED_ATTEMPTS)]


# both ids begin with the machine time at which they were made
_CHANGED = """SELECT invitation_id AS id FROM attempts WHERE id >= $1
UNION SELECT id FROM invitations WHERE id >= $1"""
_PAGE = """SELECT id, expires_at FROM invitations WHERE state = 'open' AND (expires_at, id) > ($1, $2)
ORDER BY expires_at, id LIMIT $3"""


class PagePosition(NamedTuple):
    """The last invitation of a page, in the order of their ends."""

    expires_at: datetime
    id: UUID


async def changed(session: AsyncSession, since: datetime) -> set[UUID]:
    """Return invitations that were made, or of which a step ended, since a machine time."""
    return {row["id"] for row in await db.fetch(session, _CHANGED, first_id(since))}


async def open_page(session: AsyncSession, after: PagePosition, *, limit: int) -> list[PagePosition]:
    rows = await db.fetch(session, _PAGE, *after, limit)
    return [PagePosition(row["expires_at"], row["id"]) for row in rows]


_TURN = """UPDATE leases SET holder = $1, until = clock_timestamp() + $2::interval
WHERE name = 'reconciler' AND (holder = $1 OR until < clock_timestamp()) RETURNING 1"""


async def take_turn(session: AsyncSession, holder: UUID, *, lasting: timedelta) -> bool:
    """Lease the search to one dispatcher; return False while another one has it."""
    return bool(await db.fetch(session, _TURN, holder, lasting))
