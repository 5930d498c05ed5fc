"""Handles one parked message of trigger again, for the person who has just mended its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.trigger.domain.deciding.explanations import title
from services.trigger.domain.sources import avro
from services.trigger.domain.sources.source import Source
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.mapped_events import EventWithoutCustomer, find_customer, read_mapped
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload
from shared.languages.current import gettext
from shared.messaging import parking
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message
from shared.web.problems import Conflict


@dataclass(frozen=True, slots=True)
class ParkedReplay:
    intake: EventIntake
    sources: Mapping[str, Source]

    async def replay(self, parked_id: UUID) -> str:
        """Handle a parked message and delete it; returns what became of it, or why it stays parked.

        A message that was handled and is still parked, after a crash, gets the stored decision.
        """
        async with self.intake.sessions.begin() as session:
            found = await parking.list_parked(session, ids=[parked_id])
        if not found:
            return gettext("It is not parked any more.")
        try:
            event = await self._read(found[0].message)
            decided = None if event is None else await self.intake.decide_one(event)
        except InvalidEvent as error:
            async with self.intake.sessions.begin() as session:
                await parking.set_reason(session, parked_id, str(error))
            return gettext("It stays parked: %(why)s", why=error)
        except Conflict:
            return gettext("It stays parked: its id belongs to another event, whose decision is kept.")
        async with self.intake.sessions.begin() as session:
            await parking.delete(session, [parked_id])
        if decided is None:
            return gettext("Handled: its mapping ignores it.")
        return gettext("Handled: %(reason)s.", reason=title(decided.reason, event_type=decided.type))

    async def _read(self, message: Message) -> Event[CrmPayload] | None:
        if avro.is_framed(message.body):
            raise InvalidEvent("body: Avro is handled again by `earshot parked replay trigger` only")
        read = read_mapped(message, self.sources, received=self.intake.clock.now())
        if not isinstance(read, EventWithoutCustomer):
            return read
        async with self.intake.sessions() as session:
            return await find_customer(session, read)
