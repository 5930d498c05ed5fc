"""Consents to be quoted: given with a name or without, and withdrawn."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import db

_NAME = "SELECT name FROM quotes WHERE answer_id = $1 AND withdrawn_at IS NULL"
_PUT = """INSERT INTO quotes (answer_id, name, wording, given_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (answer_id) DO UPDATE SET name = excluded.name, wording = excluded.wording, given_at = excluded.given_at,
withdrawn_at = NULL"""
_WITHDRAW = "UPDATE quotes SET withdrawn_at = $2, name = '' WHERE answer_id = $1 AND withdrawn_at IS NULL"


async def name(session: AsyncSession, answer_id: UUID) -> str | None:
    """Return the name to quote an answer by, "" for none; None without a consent that stands."""
    return next((row["name"] for row in await db.fetch(session, _NAME, answer_id)), None)


async def put(session: AsyncSession, answer_id: UUID, quote_name: str, *, wording: str, at: datetime) -> None:
    """Store the consent, with the words by which it was asked for."""
    await db.fetch(session, _PUT, answer_id, quote_name, wording, at)


async def withdraw(session: AsyncSession, answer_id: UUID, *, at: datetime) -> None:
    """End the consent and forget the name; without one, nothing changes."""
    await db.fetch(session, _WITHDRAW, answer_id, at)
