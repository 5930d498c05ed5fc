"""What trigger and dispatcher know of the staff: the latest revision of each person, and what the person sees.

An event brings that; the name is that of the ticket with which the person changed something here last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from shared.contract.events import StaffChanged
from shared.contract.staff_scope import StaffScope
from shared.database import db
from shared.database.session import Session

_PUT = """INSERT INTO staff (person, revision, programs, stores) VALUES ($1, $2, $3::text[], $4::text[])
ON CONFLICT (person) DO UPDATE SET revision = excluded.revision, programs = excluded.programs, stores = excluded.stores
WHERE staff.revision < excluded.revision"""
_FIND = "SELECT revision, programs, stores FROM staff WHERE person = $1"
_PUT_NAME = "UPDATE staff SET name = $2 WHERE person = $1 AND name IS DISTINCT FROM $2"
_NAMES = "SELECT person, name FROM staff WHERE name IS NOT NULL"


def staff_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "staff",
        metadata,
        sa.Column("person", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("programs", sa.ARRAY(sa.Text)),
        sa.Column("stores", sa.ARRAY(sa.Text)),
        sa.Column("name", sa.Text),  # null until the person sends a form here
    )


@dataclass(frozen=True, slots=True)
class KnownPerson:
    revision: int
    scope: StaffScope


async def store(session: Session, changes: Sequence[StaffChanged]) -> None:
    """Store what people are now; an older revision than the stored one is left out."""
    for each in sorted(
        changes, key=lambda change: (change.person_id, change.revision)
    ):  # one order, or writers deadlock
        await db.fetch(session, _PUT, each.person_id, each.revision, each.programs, each.stores)


async def find(session: Session, person: UUID) -> KnownPerson | None:
    rows = await db.fetch(session, _FIND, person)
    return KnownPerson(rows[0]["revision"], StaffScope(*map(_names, rows[0][1:]))) if rows else None


async def store_name(session: Session, person: UUID, name: str) -> None:
    """Store how a person is called; nothing is stored of a person whom no event has named."""
    await db.fetch(session, _PUT_NAME, person, name)


async def names(session: Session) -> Mapping[str, str]:
    """Return how those are called who have changed something here, by their ids."""
    return {str(row["person"]): row["name"] for row in await db.fetch(session, _NAMES)}


def _names(values: Sequence[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
