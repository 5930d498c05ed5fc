"""Which programs' figures changed: one number each, that only rises."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db

_NOTE = """INSERT INTO changes AS c (program) SELECT unnest($1::text[])
ON CONFLICT (program) DO UPDATE SET sequence = c.sequence + 1"""


async def note(session: AsyncSession, programs: Iterable[str]) -> None:
    """Say that these programs' figures are not what they were; the last statement of its transaction."""
    if names := sorted(set(programs)):
        await db.fetch(session, _NOTE, names)


async def sequences(session: AsyncSession) -> dict[str, int]:
    return {row["program"]: row["sequence"] for row in await db.fetch(session, "SELECT * FROM changes")}
