"""Sessions of staff; to end one is to delete it. Times are machine time."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.people.sessions import StaffSession
from services.scoring.repository.people import revisions
from services.scoring.repository.people.accounts import COLUMNS, person_of
from shared.database import db
from shared.database.session import Session

_FIND = f"""SELECT s.id, s.begun_at, s.ends_at, s.browser, s.person, {COLUMNS}
FROM staff_sessions s JOIN people p ON p.id = s.person WHERE s.person = $1"""  # noqa: S608 - column names only
_BY_ID = f"{_FIND} AND s.id = $2"
_OF_PERSON = f"{_FIND} AND s.ends_at > clock_timestamp() ORDER BY s.begun_at DESC"
_ADD = "INSERT INTO staff_sessions (id, person, begun_at, ends_at, browser) VALUES ($1, $2, $3, $4, $5)"
_END = "DELETE FROM staff_sessions WHERE id = $1 AND person = $2 RETURNING id"
_END_ALL = "DELETE FROM staff_sessions WHERE person = $1 AND id IS DISTINCT FROM $2 RETURNING id"
_FORGET = "DELETE FROM staff_sessions WHERE ends_at < clock_timestamp() RETURNING id"


async def add(session: Session, begun: StaffSession) -> None:
    await db.fetch(session, _ADD, begun.id, begun.person.id, begun.begun_at, begun.ends_at, begun.browser)


async def find(session: Session, id_: UUID, *, person: UUID) -> StaffSession | None:
    rows = await db.fetch(session, _BY_ID, person, id_)
    return _session(rows[0]) if rows else None


async def of_person(session: Session, person: UUID) -> list[StaffSession]:
    """Return the sessions of a person that have not reached their end, the newest first."""
    return [_session(row) for row in await db.fetch(session, _OF_PERSON, person)]


async def end(session: Session, id_: UUID, *, person: UUID) -> bool:
    """End a session of a person; returns False if it has ended before."""
    return await _ended(session, person, await db.fetch(session, _END, id_, person))


async def end_all(session: Session, person: UUID, *, but: UUID | None = None) -> bool:
    """End all sessions of a person, `but` one; returns False if there are none."""
    return await _ended(session, person, await db.fetch(session, _END_ALL, person, but))


async def _ended(session: Session, person: UUID, rows: Sequence[db.Row]) -> bool:
    if rows:
        await revisions.revise(session, person)
    return bool(rows)


async def forget_ended(session: Session) -> int:
    return len(await db.fetch(session, _FORGET))


def _session(row: db.Row) -> StaffSession:
    return StaffSession(row["id"], person_of(row), row["begun_at"], row["ends_at"], row["browser"])
