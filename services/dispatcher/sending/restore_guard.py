"""Keeps a database restored from a backup from sending again what was sent after the backup was made.

The event log is not restored with the database. When its newest delivery events are missing in the ledger, no step is
performed until a person has repaired it. The two are compared at the start, and again when the database is no longer
the one that was compared: after a restart, a failover or a restore. The states of programs are read from the log then,
so that a program that was stopped after the backup stays stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from services.dispatcher.handlers.programs import on_programs
from services.dispatcher.repository import ledger
from services.dispatcher.repository.ledger import DatabaseIdentity
from shared import metrics
from shared.contract.cloudevents import Event
from shared.contract.events import ContactAttempted, InvitationClosed, Payload
from shared.contract.topics import SURVEY_DELIVERIES, SURVEY_PROGRAMS
from shared.contract.vocabulary import Service
from shared.database.session import Session, Sessions
from shared.health import NotReady
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message, Replayable

log = structlog.get_logger()

CHECK_EVERY_S = 5.0
COMPARED = 500  # newest messages of each partition: they show a loss unless all of them are suppressions
CURE = "run `earshot ledger adopt` (docs/operate.md, After a restore)"


@dataclass(frozen=True, slots=True)
class LedgerDifference:
    """How many contact attempts and closed invitations the end of the log has and the ledger lacks."""

    attempts: int = 0
    ends: int = 0

    def __bool__(self) -> bool:
        return bool(self.attempts or self.ends)

    def __str__(self) -> str:
        lacking = f"{self.attempts} attempts and {self.ends} closed invitations"
        return f"{SURVEY_DELIVERIES.name} has {lacking} that the database lacks"


async def compare(sessions: Sessions, event_log: Replayable) -> LedgerDifference:
    """Compare the end of the log with the ledger; raises TransportUnavailable."""
    attempts: dict[UUID, UUID] = {}
    closed: set[UUID] = set()
    async with aclosing(event_log.history(SURVEY_DELIVERIES.name, last=COMPARED)) as batches:
        async for messages in batches:
            for payload in _payloads(messages):
                if isinstance(payload, ContactAttempted):
                    attempts[payload.attempt_id] = payload.invitation_id
                elif isinstance(payload, InvitationClosed):
                    closed.add(payload.invitation_id)
    async with sessions.begin() as session:
        lacking, not_closed = await ledger.lacking(session, attempts), await ledger.not_closed(session, closed)
    return LedgerDifference(len(lacking), len(not_closed))


async def read_programs(sessions: Sessions, event_log: Replayable) -> None:
    """Store the states of programs that the log has; raises TransportUnavailable."""
    async with aclosing(event_log.history(SURVEY_PROGRAMS.name, last=COMPARED)) as batches:
        async for messages in batches:
            async with sessions.begin() as session:
                await on_programs(session, _events(messages))


def _payloads(messages: Sequence[Message]) -> list[Payload]:
    return [event.payload for event in _events(messages)]


def _events(messages: Sequence[Message]) -> list[Event[Payload]]:
    found = []
    for message in messages:
        try:
            found.append(codec.parse(message))
        except InvalidEvent:
            log.warning("ledger.message_not_read", position=message.position)
    return found


@dataclass(slots=True)
class RestoreGuard:
    """Blocks steps until the ledger of this database was compared with the log and lacked nothing."""

    sessions: Sessions
    event_log: Replayable
    difference: LedgerDifference = field(default_factory=LedgerDifference, init=False)
    _compared: DatabaseIdentity | None = field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        return self._compared is not None

    async def allows(self, session: Session) -> bool:
        """Whether steps may be performed and this is still the database that was compared; runs one statement."""
        if self.is_open and self._compared != await ledger.database_identity(session):
            self._compared = None
            log.warning("ledger.database_changed")
        return self.is_open

    async def check(self) -> None:
        """Compare the log with the ledger unless that has been done for this database."""
        if self.is_open:
            return
        before = await self._database()
        await read_programs(self.sessions, self.event_log)
        found = await compare(self.sessions, self.event_log)
        if found and found != self.difference:
            log.error("ledger.lacks", attempts=found.attempts, ends=found.ends, cure=CURE)
        self.difference = found
        metrics.LEDGER_LACKS.labels(Service.DISPATCHER).set(found.attempts + found.ends)
        if not found and before == await self._database():  # a database restored meanwhile may lack more
            self._compared = before
            log.info("ledger.complete")

    async def _database(self) -> DatabaseIdentity:
        async with self.sessions.begin() as session:
            return await ledger.database_identity(session)

    async def ready(self) -> None:
        """Raise NotReady while no step may be performed."""
        async with self.sessions.begin() as session:
            if await self.allows(session):
                return
        if self.difference:
            raise NotReady(f"nothing is sent: {self.difference}, it may be an older copy: {CURE}")
        raise NotReady("nothing is sent until the ledger has been compared with the log")

    def guarded(self, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """Wrap work: while no step may be performed, nothing is done and the result is 0."""

        async def once() -> int:
            return await work() if self.is_open else 0

        return once
