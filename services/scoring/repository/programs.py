"""Programs as trigger published them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.history import Program
from shared import db

_PUBLISHED = """SELECT id, version, coalesce(document->>'title', id) AS title,
coalesce(document->>'time_zone', 'UTC') AS zone FROM programs WHERE id = $1"""


async def published(session: AsyncSession, program: str) -> Program | None:
    rows = await db.fetch(session, _PUBLISHED, program)
    return Program(*rows[0]) if rows else None
