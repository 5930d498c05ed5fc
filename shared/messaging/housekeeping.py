"""Deletes old rows of the tables that every service has: the inbox and parked messages."""

from __future__ import annotations

from shared.database.db import Sessions
from shared.messaging import inbox, parking

EVERY_S = 3600.0


async def delete_old(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await inbox.delete_old(session)
        await parking.delete_old(session)
