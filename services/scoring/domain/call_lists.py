"""Lists of calls that are given out to outside call centres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.scoring.domain.calls import CallTask


class ListedState(StrEnum):
    """What a call centre is to do about a call of its list."""

    TO_CALL = "to_call"
    ANSWERED = "answered"  # the customer answered without a call
    ENDED = "ended"  # nobody is to call any more; the call's outcome says why
    RETURNED = "returned"  # reported, given back, or taken over after the list expired


@dataclass(frozen=True, slots=True)
class CallList:
    """Calls reserved for an outside call centre; `expires_at` is machine time."""

    id: UUID
    owner_id: UUID  # an API key, or a person of the staff who works for the centre
    centre: str  # the owner's name, under which calls are reserved and answers are stored
    expires_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class ListedCall:
    """A call of a list; it may be made until just before `until`, UTC, when the contact hours or the survey end."""

    task: CallTask
    program: str
    until: datetime
    state: ListedState


@dataclass(frozen=True, slots=True)
class ListRequest:
    """How many calls a call centre wants, for how long, and of which program; None: of any."""

    id: UUID
    most: int
    lasting: timedelta
    program: str | None = None
