"""Targets: the score a program aims at."""

from __future__ import annotations

from shared.database import db
from shared.database.session import Session

_TARGETS = """SELECT (SELECT nps FROM targets WHERE program = $1) AS set,
(SELECT document->'target' FROM programs WHERE id = $1) AS written"""


_PUT_TARGET = (
    "INSERT INTO targets (program, nps) VALUES ($1, $2) ON CONFLICT (program) DO UPDATE SET nps = excluded.nps"
)


async def read(session: Session, program: str) -> float | None:
    """Read the target set on the dashboard, else that of the program's document, else None."""
    [found] = await db.fetch(session, _TARGETS, program)
    target = found["written"] if found["set"] is None else found["set"]
    return float(target) if isinstance(target, int | float) and -100 <= target <= 100 else None


async def own(session: Session, program: str) -> int | None:
    """Lock and return the target set on the dashboard; None where none is."""
    rows = await db.fetch(session, "SELECT nps FROM targets WHERE program = $1 FOR UPDATE", program)
    return rows[0]["nps"] if rows else None


async def put(session: Session, program: str, nps: int | None) -> None:
    """Set a target; None removes it, so that the target in the program's document applies again."""
    if nps is None:
        await db.fetch(session, "DELETE FROM targets WHERE program = $1", program)
    else:
        await db.fetch(session, _PUT_TARGET, program, nps)
