"""Forgets what a service no longer needs: old inbox ids and old parked messages."""

from __future__ import annotations

from shared.database.db import Sessions
from shared.messaging import inbox, parking

EVERY_S = 3600.0


async def forget_old(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await inbox.forget_old(session)
        await parking.forget_old(session)
