"""What a person may see, by the events that trigger and dispatcher have received."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contract.staff_scope import WHOLE, StaffScope
from shared.database import staff
from shared.database.db import Sessions
from shared.web.problems import Unavailable
from shared.web.staff.tickets import Ticket


@dataclass(frozen=True, slots=True)
class ReceivedScopes:
    sessions: Sessions

    async def find(self, ticket: Ticket) -> StaffScope | None:
        """Return what the person of a ticket sees, None for a ticket that has to be renewed.

        Raises Unavailable while the event about the person has not arrived.
        """
        if ticket.session is None:
            return WHOLE
        async with self.sessions() as session:
            known = await staff.find(session, ticket.person)
        if known is not None and known.revision >= ticket.revision:
            return known.scope if known.revision == ticket.revision else None
        if ticket.is_scoped:
            raise Unavailable("It is not known here yet which stores you see", "Try again in some seconds.")
        return WHOLE
