"""A sequence number per program that rises whenever its figures change."""

from __future__ import annotations

from collections.abc import Iterable

from shared.database import db
from shared.database.session import Session

_NOTE = """INSERT INTO changes AS c (program) SELECT unnest($1::text[])
ON CONFLICT (program) DO UPDATE SET sequence = c.sequence + 1"""


async def note(session: Session, programs: Iterable[str]) -> None:
    """Raise the numbers of these programs; must be the last statement of a transaction, because it locks their rows."""
    if names := sorted(set(programs)):
        await db.fetch(session, _NOTE, names)


async def sequences(session: Session) -> dict[str, int]:
    return {row["program"]: row["sequence"] for row in await db.fetch(session, "SELECT * FROM changes")}
