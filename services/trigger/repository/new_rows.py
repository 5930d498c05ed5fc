"""Bulk inserts of rows that another transaction may insert at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import asyncpg

from shared.database import db
from shared.database.session import Session


class Raced(asyncpg.SerializationError):
    """Another transaction inserted a row with the same key: roll back and repeat, and that row is found by its key."""


async def add(session: Session, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert the rows; raises Raced."""
    try:
        await db.copy(session, table, columns, rows)
    except asyncpg.UniqueViolationError:
        raise Raced(f"another transaction inserted one of these {table}") from None


def place_of(id_: str) -> tuple[int, str]:
    """Return the place of an id in an order for inserts that is the same everywhere and not that of the ids.

    Consecutive ids in their own order would leave the pages of an index half full.
    """
    return crc32(id_.encode()), id_
