"""Keeps an older copy of the database from sending again what was sent since.

The log is not set back with the database: where the newest of our own deliveries on it are not in the ledger, no step
goes out until a person has looked. It is compared at the start, and again whenever the database turns out to be
another than the one that was compared: after a restart, a failover, a restore.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.repository import ledger
from services.dispatcher.repository.ledger import DatabaseIdentity
from shared import metrics
from shared.contract.events import ContactAttempted, InvitationClosed, Payload
from shared.contract.topics import SURVEY_DELIVERIES
from shared.contract.vocabulary import Service
from shared.database.db import Sessions
from shared.health import NotReady
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message, Replayable

log = structlog.get_logger()

LOOK_S = 5.0
COMPARED = 500  # of each partition's newest messages: what was lost is among them unless they are all suppressions
CURE = "run `earshot ledger adopt` (docs/operate.md, After a restore)"


@dataclass(frozen=True, slots=True)
class LedgerDifference:
    """How many attempts and ends of ours the end of the log has, and the ledger has not."""

    attempts: int = 0
    ends: int = 0

    def __bool__(self) -> bool:
        return bool(self.attempts or self.ends)

    def __str__(self) -> str:
        return f"{SURVEY_DELIVERIES.name} has {self.attempts} attempts and {self.ends} ends that the database lacks"


async def compare(sessions: Sessions, event_log: Replayable) -> LedgerDifference:
    """Hold the end of the log against the ledger; raises TransportUnavailable."""
    tried: dict[UUID, UUID] = {}
    ended: set[UUID] = set()
    async with aclosing(event_log.history(SURVEY_DELIVERIES.name, last=COMPARED)) as batches:
        async for messages in batches:
            for payload in _payloads(messages):
                if isinstance(payload, ContactAttempted):
                    tried[payload.attempt_id] = payload.invitation_id
                elif isinstance(payload, InvitationClosed):
                    ended.add(payload.invitation_id)
    async with sessions.begin() as session:
        return LedgerDifference(len(await ledger.lacking(session, tried)), len(await ledger.not_closed(session, ended)))


def _payloads(messages: Sequence[Message]) -> list[Payload]:
    found = []
    for message in messages:
        try:
            found.append(codec.parse(message).payload)
        except InvalidEvent:
            log.warning("ledger.message_not_read", position=message.position)
    return found


@dataclass(slots=True)
class RestoreGuard:
    """Says whether steps may go out; at first none may."""

    sessions: Sessions
    event_log: Replayable
    difference: LedgerDifference = field(default_factory=LedgerDifference, init=False)
    _compared: DatabaseIdentity | None = field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        return self._compared is not None

    async def allows(self, session: AsyncSession) -> bool:
        """Say whether this transaction is in the database that was compared; one statement."""
        if self.is_open and self._compared != await ledger.server(session):
            self._compared = None
            log.warning("ledger.database_changed")
        return self.is_open

    async def look(self) -> None:
        """Compare, where that is still to be done."""
        if self.is_open:
            return
        before = await self._server()
        found = await compare(self.sessions, self.event_log)
        if found and found != self.difference:
            log.error("ledger.lacks", attempts=found.attempts, ends=found.ends, cure=CURE)
        self.difference = found
        metrics.LEDGER_LACKS.labels(Service.DISPATCHER).set(found.attempts + found.ends)
        if not found and before == await self._server():  # one that changed meanwhile may lack something newer
            self._compared = before
            log.info("ledger.complete")

    async def _server(self) -> DatabaseIdentity:
        async with self.sessions.begin() as session:
            return await ledger.server(session)

    async def ready(self) -> None:
        """Raise NotReady while nothing may go out."""
        async with self.sessions.begin() as session:
            if await self.allows(session):
                return
        if self.difference:
            raise NotReady(f"nothing is sent: {self.difference}, it may be an older copy: {CURE}")
        raise NotReady("nothing is sent before the ledger was compared with the log")

    def held(self, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """Make work that is done only while steps may go out."""

        async def once() -> int:
            return await work() if self.is_open else 0

        return once
