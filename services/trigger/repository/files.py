"""The progress of each file, by its digest: a second run continues where the first one ended."""

from __future__ import annotations

from shared.database import db
from shared.database.session import Session
from shared.tables.records import Position

_FIND = "SELECT position, line FROM files WHERE digest = $1 AND mode = $2"

_SAVE = """INSERT INTO files (digest, mode, position, line) VALUES ($1, $2, $3, $4)
ON CONFLICT (digest, mode) DO UPDATE SET position = EXCLUDED.position, line = EXCLUDED.line"""


async def find(session: Session, digest: bytes, mode: str) -> Position:
    rows = await db.fetch(session, _FIND, digest, mode)
    return Position(rows[0]["position"], rows[0]["line"]) if rows else Position()


async def save(session: Session, digest: bytes, mode: str, position: Position) -> None:
    await db.fetch(session, _SAVE, digest, mode, *position)
