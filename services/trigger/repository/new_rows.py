"""Rows nobody has stored before, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db


class Raced(asyncpg.SerializationError):
    """Another transaction stored one of these just now: roll back, try again, and see it."""


async def add(session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Store new rows; raises Raced."""
    try:
        await db.copy(session, table, columns, rows)
    except asyncpg.UniqueViolationError:
        raise Raced(f"one of these {table} was stored meanwhile") from None
