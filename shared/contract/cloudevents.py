"""An event with the attributes of a CloudEvent 1.0 (https://github.com/cloudevents/spec, `spec.md`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from uuid_utils import uuid7

from shared.contract.events import Payload
from shared.contract.vocabulary import Service

P_co = TypeVar("P_co", bound=Payload, covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[P_co]):
    """`source` and `id` together are unique; `time` is when it happened, in business time, UTC.

    `data` is the payload as JSON, None if it has not been serialized yet.
    """

    id: str
    source: str
    time: datetime
    payload: P_co
    subject: str | None = None
    data: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def type(self) -> str:
        return self.payload.type


def new(
    payload: Payload,
    *,
    service: Service,
    at: datetime,
    subject: UUID | str | None = None,
    data: bytes | None = None,
) -> Event[Payload]:
    """Make an event that a service publishes; by default its subject is the payload's invitation id, if it has one."""
    about = subject or getattr(payload, "invitation_id", None)
    return Event(str(uuid7()), service.source, at, payload, None if about is None else str(about), data)
