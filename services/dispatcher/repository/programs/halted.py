"""Steps that became due while their program was stopped, one for each invitation, and what else of it is open."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from services.dispatcher.repository.stalled import PagePosition
from shared.database import db
from shared.database.session import Session

_GIVE_BACK = """WITH back AS (
    DELETE FROM halted WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM programs p, LATERAL (
            SELECT ctid FROM halted WHERE program = p.id LIMIT $1 FOR UPDATE SKIP LOCKED
        ) h WHERE p.state NOT IN ('stopped', 'withdrawn') LIMIT $1
    )) RETURNING *
), again AS (
    INSERT INTO due (invitation_id, step, channel, tries, due_at, account, reason)
    SELECT invitation_id, step, channel, tries, due_at, account, reason FROM back b
    WHERE (SELECT i.state = 'open' FROM invitations i WHERE i.id = b.invitation_id) ON CONFLICT DO NOTHING
)
SELECT 1 FROM back"""
_WAITING = "SELECT invitation_id FROM halted WHERE program = ANY($1::text[]) LIMIT $2"
_CALLED = """SELECT c.invitation_id FROM open_calls c JOIN invitations i ON i.id = c.invitation_id
WHERE i.program = ANY($1::text[]) ORDER BY c.invitation_id LIMIT $2"""
_OPEN = """SELECT id, expires_at, program = ANY($1::text[]) AS wanted FROM invitations
WHERE state = 'open' AND (expires_at, id) > ($2, $3) ORDER BY expires_at, id LIMIT $4"""


async def give_back(session: Session, *, limit: int) -> int:
    """Make steps of programs that are not stopped due again, as they were; return how many."""
    return len(await db.fetch(session, _GIVE_BACK, limit))


async def waiting(session: Session, programs: Collection[str], *, limit: int) -> list[UUID]:
    """Return invitations of these programs that have a step here."""
    return [row["invitation_id"] for row in await db.fetch(session, _WAITING, list(programs), limit)]


async def with_open_calls(session: Session, programs: Collection[str], *, limit: int) -> list[UUID]:
    """Return invitations of these programs that have a call at the desk."""
    return [row["invitation_id"] for row in await db.fetch(session, _CALLED, list(programs), limit)]


async def open_page(
    session: Session, programs: Collection[str], after: PagePosition, *, limit: int
) -> tuple[list[UUID], PagePosition | None]:
    """Look at a page of open invitations; return those of these programs, and its end, None if it was the last."""
    rows = await db.fetch(session, _OPEN, list(programs), *after, limit)
    end = PagePosition(rows[-1]["expires_at"], rows[-1]["id"]) if len(rows) == limit else None
    return [row["id"] for row in rows if row["wanted"]], end
