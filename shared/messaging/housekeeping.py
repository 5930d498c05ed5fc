"""Deletes old rows of the tables that every service has: the inbox and parked messages."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.database.session import Sessions
from shared.messaging import inbox, parking

EVERY_S = 3600.0


async def delete_old(sessions: Sessions, group: str) -> None:
    """Delete them for a service, whose consumer group is `group`."""
    async with sessions.begin() as session:
        await inbox.delete_old(session, group, now=datetime.now(UTC))
        await parking.delete_old(session)
