"""Up to where invitations were deleted, and which imported scores: repeats of these are refused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.database import db
from shared.database.session import Session
from shared.ids import first_id

NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class RetentionLimit:
    """What was made before `made` by the machine's clock goes, and what was bought before `bought` by business time.

    At `now`, business time, an invitation must have expired.
    """

    made: datetime
    bought: datetime
    now: datetime

    @property
    def first_kept(self) -> UUID:
        """The least id of what was made at the limit."""
        return first_id(self.made)


_RAISE = "UPDATE retention SET dropped_before = $1 WHERE dropped_before < $1"
_DROPPED_BEFORE = "SELECT dropped_before FROM retention"


async def raise_limit(session: Session, limit: RetentionLimit) -> None:
    """Have survey requests with ids made before the limit refused from now on; `lock_requests` must hold."""
    await db.fetch(session, _RAISE, limit.first_kept)


async def dropped_before(session: Session) -> UUID:
    """Return the id below which a survey request is a repeat of one that may have been deleted."""
    rows = await db.fetch(session, _DROPPED_BEFORE)
    return rows[0]["dropped_before"] if rows else NIL


async def dropped_imports(session: Session, ids: Collection[UUID]) -> set[UUID]:
    sql = "SELECT invitation_id FROM dropped_imports WHERE invitation_id = ANY($1::uuid[])"
    return {row["invitation_id"] for row in await db.fetch(session, sql, list(ids))}
