"""An event with the attributes of a CloudEvent 1.0 (https://github.com/cloudevents/spec, `spec.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from uuid_utils import uuid7

from shared.contract.vocabulary import Service


class EventPayload(Protocol):
    """What every payload has: the models of the contract, and a struct that is only written."""

    type: ClassVar[str]
    topic: ClassVar[str]

    @property
    def key(self) -> str:
        """The message key."""


P_co = TypeVar("P_co", bound=EventPayload, covariant=True)
P = TypeVar("P", bound=EventPayload)


@dataclass(frozen=True, slots=True)
class IgnoredField:
    """A field of an event that was left out or not taken as it is: its dotted path, and why, without its value."""

    field: str
    why: str


def place_of(field: str) -> str:
    """Return the path of a field without the name of an attribute and the number of an item, for a counter's label."""
    before, attributes, _ = field.partition("attributes")
    return ".".join(part for part in (before + attributes).split(".") if not part.isdigit())


class Event(msgspec.Struct, Generic[P_co], frozen=True, gc=False, eq=False):
    """`source` and `id` together are unique; `time` is when it happened, in business time, UTC.

    `data` is the payload as JSON, None if it has not been serialized yet; `ignored` names what could not be read.
    Events are equal if all but these two are.
    """

    id: str
    source: str
    time: datetime
    payload: P_co
    subject: str | None = None
    data: bytes | None = None
    ignored: tuple[IgnoredField, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self._compared == other._compared

    def __hash__(self) -> int:
        return hash((self.source, self.id))

    @property
    def _compared(self) -> tuple[object, ...]:
        return self.id, self.source, self.time, self.payload, self.subject

    @property
    def type(self) -> str:
        return self.payload.type


def new(
    payload: P,
    *,
    service: Service,
    at: datetime,
    subject: UUID | str | None = None,
    data: bytes | None = None,
) -> Event[P]:
    """Make an event that a service publishes; by default its subject is the payload's invitation id, if it has one."""
    about = subject or getattr(payload, "invitation_id", None)
    return Event(str(uuid7()), service.source, at, payload, None if about is None else str(about), data)
