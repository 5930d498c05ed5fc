"""Deletes invitations that are past retention, by the clock of the database, once they have ended and expired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.dispatcher.repository import invitations
from shared.database import partitions
from shared.database.session import Sessions

log = structlog.get_logger()

EVERY_S = 3600.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class InvitationRetention:
    """`kept` is how long an invitation is kept at least, from when it was made; None for ever."""

    sessions: Sessions
    kept: timedelta | None

    async def __call__(self) -> int:
        """Delete what is past retention, batch by batch, and return how many invitations that were."""
        if self.kept is None:
            return 0
        deleted, batch = 0, _BATCH
        while batch == _BATCH:
            async with self.sessions.begin() as session:
                before = await partitions.machine_time(session) - self.kept
                batch = await invitations.delete_old(session, made_before=before, limit=_BATCH)
            deleted += batch
        if deleted:
            log.info("retention.deleted", invitations=deleted)
        return deleted

    async def past(self) -> int:
        """Return how many invitations are past retention."""
        if self.kept is None:
            return 0
        async with self.sessions.begin() as session:
            return await invitations.count_old(session, made_before=await partitions.machine_time(session) - self.kept)
