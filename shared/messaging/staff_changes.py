"""Receives what scoring tells of the staff, in a consumer of its own: a revocation waits for no other event."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.cloudevents import Event
from shared.contract.events import Payload, StaffChanged
from shared.contract.topics import SURVEY_STAFF
from shared.contract.vocabulary import Service
from shared.database import staff
from shared.database.session import Session, Sessions
from shared.messaging.consumer import Consumer
from shared.messaging.transport import EventLog


def staff_consumer(service: Service, event_log: EventLog, sessions: Sessions) -> Consumer:
    return Consumer(service, [SURVEY_STAFF.name], event_log, sessions, _store)


async def _store(session: Session, events: Sequence[Event[Payload]]) -> None:
    """Store the latest state of each person; a repeated event changes nothing."""
    await staff.store(session, [event.payload for event in events if isinstance(event.payload, StaffChanged)])
