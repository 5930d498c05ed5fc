"""A decision as it is stored, and the key of its event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from shared.ids import id_from

FORGOTTEN = "forgotten"  # the reason of a decision that is past retention


class EventKey(NamedTuple):
    source: str
    event_id: str

    @property
    def hash(self) -> UUID:
        """What is kept of the key for ever; the same expression is in `repository/retention.py`."""
        return _hash(self)


@lru_cache(maxsize=8192)  # needed three times for each event of a batch
def _hash(key: EventKey) -> UUID:
    text = f"{len(key.source)}:{key.source}{key.event_id}"
    return id_from(hashlib.sha256(text.encode()).digest()[:16])


class StoredDecision(msgspec.Struct, frozen=True, gc=False):
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
