"""Links that show the figures of a view to whoever has one, until they end; secrets are stored as digests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.contract.staff_scope import StaffScope
from shared.database import db
from shared.database.session import Session

_ADD = """INSERT INTO shared_views (id, digest, person, view, program, stores, expires_at)
VALUES ($1, $2, $3, $4, $5, $6::text[], clock_timestamp() + $7::interval)"""
_COLUMNS = """v.id, v.person, p.name, v.view, v.program, v.stores, v.made_at, v.expires_at
FROM shared_views v JOIN people p ON p.id = v.person WHERE v.revoked_at IS NULL AND v.expires_at > clock_timestamp()"""
_ALL = f"SELECT {_COLUMNS} ORDER BY v.made_at DESC, v.id LIMIT $1"
_FIND = f"SELECT {_COLUMNS} AND v.digest = $1"
_REVOKE = "UPDATE shared_views SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


@dataclass(frozen=True, slots=True)
class SharedView:
    """A link that has not ended; `view` is a query of the dashboard, `stores` those it was shared of, None for all."""

    id: UUID
    person: UUID
    name: str  # of the person
    view: str
    program: str
    stores: frozenset[str] | None
    made_at: datetime
    expires_at: datetime

    def is_within(self, scope: StaffScope) -> bool:
        """Say whether somebody with this scope sees all that was shared."""
        seen = scope.stores is None or (self.stores is not None and self.stores <= scope.stores)
        return seen and scope.covers_program(self.program)


async def add(session: Session, view: SharedView, *, digest: bytes, lasts: timedelta) -> None:
    """Store a link; the times are the database's."""
    stores = None if view.stores is None else sorted(view.stores)
    await db.fetch(session, _ADD, view.id, digest, view.person, view.view, view.program, stores, lasts)


async def open_ones(session: Session, *, limit: int) -> list[SharedView]:
    """Return links that have not ended, the newest first."""
    return [_view(row) for row in await db.fetch(session, _ALL, limit)]


async def find(session: Session, digest: bytes) -> SharedView | None:
    rows = await db.fetch(session, _FIND, digest)
    return _view(rows[0]) if rows else None


async def revoke(session: Session, id_: UUID) -> bool:
    """End a link; returns whether it was open."""
    return bool(await db.fetch(session, _REVOKE, id_))


def _view(row: db.Row) -> SharedView:
    stores = None if row["stores"] is None else frozenset(row["stores"])
    return SharedView(
        row["id"], row["person"], row["name"], row["view"], row["program"], stores, row["made_at"], row["expires_at"]
    )
