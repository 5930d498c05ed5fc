"""Anchors the audit log of a service when a day is over, hands the anchors out, and drops what is past retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract import cloudevents
from shared.contract.events import AuditAnchored
from shared.contract.vocabulary import Service
from shared.database.audit import anchors
from shared.database.audit.anchors import Anchor
from shared.database.db import Sessions
from shared.messaging import outbox

log = structlog.get_logger()

EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class AuditAnchors:
    """`kept` is how long rows stay; None for ever. Only one of several processes finds a day without its anchor."""

    sessions: Sessions
    service: Service
    kept: timedelta | None

    async def __call__(self) -> None:
        async with self.sessions.begin() as session:
            made = await anchors.add_missing(session)
            await self._hand_out(session, made)
            dropped = await anchors.drop_old(session, kept=self.kept) if self.kept is not None else 0
        if dropped:
            log.info("audit.dropped", rows=dropped)

    async def _hand_out(self, session: AsyncSession, made: Sequence[Anchor]) -> None:
        """Publish new anchors in the transaction that stores them: copies outside the database prove what it held."""
        now = datetime.now(UTC)
        payloads = [
            AuditAnchored(service=self.service, day=each.day, number=each.number, hash=each.hash.hex()) for each in made
        ]
        await outbox.add(session, [cloudevents.new(each, service=self.service, at=now) for each in payloads])
