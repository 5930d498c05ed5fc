"""What happened to a customer: an order or a service, the event that told of it, and what became of its survey."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.events import (
    CrmPayload,
    OrderDelivered,
    PurchaseCancelled,
    PurchaseCompleted,
    ServiceCompleted,
    ServiceReopened,
)


class CrmEvent(Protocol):
    """An event as the rules see it."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def payload(self) -> CrmPayload: ...


class TouchpointKind(StrEnum):
    ORDER = "order"
    SERVICE = "service"


class TouchpointState(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TouchpointKey:
    respondent_id: str
    kind: TouchpointKind
    ref: str


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """An order or a service; `source` and `event_id` are those of the event it was decided by."""

    key: TouchpointKey
    source: str | None = None
    event_id: str | None = None
    invitation_id: UUID | None = None
    state: TouchpointState | None = None
    reversed_at: datetime | None = None


def is_reversal(payload: CrmPayload) -> bool:
    return isinstance(payload, PurchaseCancelled | ServiceReopened)


def is_completion(payload: CrmPayload) -> bool:
    return isinstance(payload, PurchaseCompleted | ServiceCompleted)


def touchpoint_key(payload: CrmPayload) -> TouchpointKey | None:
    """Say which order or service of whom an event is about."""
    match payload:
        case PurchaseCompleted() | PurchaseCancelled() | OrderDelivered():
            return TouchpointKey(payload.key, TouchpointKind.ORDER, payload.order.id)
        case ServiceCompleted() | ServiceReopened():
            return TouchpointKey(payload.key, TouchpointKind.SERVICE, payload.service.id)
    return None
