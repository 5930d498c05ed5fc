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
class IgnoredField:
    """A field of an event that was left out or not taken as it is: its dotted path, and why, without its value."""

    field: str
    why: str


def place_of(field: str) -> str:
    """Return the path of a field without the name of an attribute and the number of an item, for a counter's label."""
    before, attributes, _ = field.partition("attributes")
    return ".".join(part for part in (before + attributes).split(".") if not part.isdigit())


@dataclass(frozen=True, slots=True)
class Event(Generic[P_co]):
    """`source` and `id` together are unique; `time` is when it happened, in business time, UTC.

    `data` is the payload as JSON, None if it has not been serialized yet; `ignored` names what could not be read.
    """

    id: str
    source: str
    time: datetime
    payload: P_co
    subject: str | None = None
    data: bytes | None = field(default=None, compare=False, repr=False)
    ignored: tuple[IgnoredField, ...] = field(default=(), compare=False)

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
