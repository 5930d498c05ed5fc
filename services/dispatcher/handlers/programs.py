"""Stores programs as trigger publishes them."""

from __future__ import annotations

from collections.abc import Sequence

from services.dispatcher.repository.programs import states
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, ProgramPublished
from shared.database.session import Session


async def on_programs(session: Session, events: Sequence[Event[Payload]]) -> None:
    """Store the latest state and document of each program; a repeated event changes nothing."""
    published = [(event.payload, event.time) for event in events if isinstance(event.payload, ProgramPublished)]
    if published:
        await states.store(session, published)
