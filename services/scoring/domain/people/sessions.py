"""Sessions of staff: how long they last, and what a ticket is worth while they do."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
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


@dataclass(frozen=True, slots=True)
class LogInState:
    """What an account is at the first of two factors: before the second, nothing of this may have changed."""

    password: str | None  # its hash
    code_secret: str | None
    revision: int  # grows when the person is changed, turned off or on, and when a session begins or is ended

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()
