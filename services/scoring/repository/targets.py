"""The target of a program's score."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db

_TARGETS = """SELECT (SELECT nps FROM targets WHERE program = $1) AS set,
(SELECT document->'target' FROM programs WHERE id = $1) AS written"""


_PUT_TARGET = (
    "INSERT INTO targets (program, nps) VALUES ($1, $2) ON CONFLICT (program) DO UPDATE SET nps = excluded.nps"
)


async def read(session: AsyncSession, program: str) -> float | None:
    """Read the score a program aims at: set by hand, else as its document says."""
    [found] = await db.fetch(session, _TARGETS, program)
    wanted = found["written"] if found["set"] is None else found["set"]
    return float(wanted) if isinstance(wanted, int | float) and -100 <= wanted <= 100 else None


async def put(session: AsyncSession, program: str, nps: int | None) -> None:
    """Set a target by hand; None goes back to what the document says."""
    if nps is None:
        await db.fetch(session, "DELETE FROM targets WHERE program = $1", program)
    else:
        await db.fetch(session, _PUT_TARGET, program, nps)
