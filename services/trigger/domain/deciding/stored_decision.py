"""A decision as it is stored, and the key of its event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec


class EventKey(NamedTuple):
    source: str
    event_id: str


class StoredDecision(msgspec.Struct, frozen=True):
    id: UUID
    source: str
    event_id: str
    digest: bytes
    type: str
    respondent_id: str
    subject: str | None
    event_time: datetime
    decided_at: datetime
    reason: str
    program_id: str | None
    program_version: int | None
    invitation_id: UUID | None
    trail: Sequence[Mapping[str, Any]]
    ignored: Sequence[Mapping[str, str]] | None = None  # `field` and `why` of what was left out

    @property
    def key(self) -> EventKey:
        return EventKey(self.source, self.event_id)
