"""Which person of the staff an identity provider means."""

from __future__ import annotations

from uuid import UUID

from shared.database import db
from shared.database.session import Session

_FIND = "SELECT person FROM person_identities WHERE issuer = $1 AND subject = $2"
_ADD = "INSERT INTO person_identities (issuer, subject, person) VALUES ($1, $2, $3)"


async def find(session: Session, issuer: str, subject: str) -> UUID | None:
    rows = await db.fetch(session, _FIND, issuer, subject)
    return rows[0]["person"] if rows else None


async def add(session: Session, issuer: str, subject: str, *, person: UUID) -> None:
    await db.fetch(session, _ADD, issuer, subject, person)
