"""Gives back the calls of outside call centres whose key has ended, and deletes old lists."""

from __future__ import annotations

from datetime import datetime

from services.scoring.repository.calling import call_lists
from shared.database.session import Session


async def end_without_key(session: Session, *, now: datetime) -> int:  # noqa: ARG001 - keys end by machine time
    """Return how many calls went back to the desk."""
    return await call_lists.end_without_key(session)


async def delete_old(session: Session, *, now: datetime) -> int:  # noqa: ARG001 - lists end by machine time
    """Return how many lists were deleted."""
    return await call_lists.delete_old(session)
