"""What a person may see, by the events that trigger and dispatcher have received, and who changes something there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.contract.staff_scope import WHOLE, StaffScope
from shared.database import staff
from shared.database.session import Sessions
from shared.web.problems import Unavailable
from shared.web.staff.tickets import Ticket

_LOOKS, _PAUSE_S = 30, 0.1  # the event arrives some tenths of a second after a log-in


@dataclass(frozen=True, slots=True)
class ReceivedScopes:
    sessions: Sessions

    async def find(self, ticket: Ticket) -> StaffScope | None:
        """Return what the person of a ticket sees, None for a ticket that has to be renewed.

        Waits a little for the event about the person, and raises Unavailable if it does not arrive.
        """
        if ticket.session is None:
            return WHOLE
        for _ in range(_LOOKS):
            async with self.sessions() as session:
                known = await staff.find(session, ticket.person)
            if known is not None and known.revision >= ticket.revision:
                return known.scope if known.revision == ticket.revision else None
            if not ticket.is_scoped:
                return WHOLE
            await asyncio.sleep(_PAUSE_S)
        raise Unavailable(
            "It is not known here yet which stores you see", "Try again in some seconds.", headers={"retry-after": "2"}
        )

    async def remember(self, ticket: Ticket) -> None:
        """Store the name of a person who changes something, for the lists that say who did."""
        if ticket.session is not None:
            async with self.sessions.begin() as session:
                await staff.store_name(session, ticket.person, ticket.name)
