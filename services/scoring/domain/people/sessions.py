"""Sessions of staff: how long they last, and what a ticket is worth while they do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.scoring.domain.people.person import Person, session_limits


@dataclass(frozen=True, slots=True)
class StaffSession:
    """Times are machine time; `browser` is what the browser calls itself."""

    id: UUID
    person: Person
    begun_at: datetime
    ends_at: datetime
    browser: str

    def lasts(self, *, used_at: datetime, now: datetime) -> bool:
        """Say whether the session still counts, when it was used last at about `used_at`."""
        return now < self.ends_at and now - used_at < session_limits(self.person.roles).idle and not self.person.is_off
