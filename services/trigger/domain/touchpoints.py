"""What a survey can be about: an order, a service, an answer, a period; who told of it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeGuard
from uuid import UUID

import msgspec

from shared.contract.events import (
    AnswerAmended,
    AnswerPayload,
    CrmPayload,
    CustomerRef,
    OrderDelivered,
    Part,
    Payload,
    PurchaseCancelled,
    PurchaseCompleted,
    ServiceCompleted,
    ServiceReopened,
    SurveyAnswered,
)


class CadenceDue(Payload):
    """A customer's turn in a relational program; it never leaves trigger."""

    type = "cadence.due"
    topic = ""
    respondent_id: str
    program_id: str
    period: int

    @property
    def key(self) -> str:
        return self.respondent_id


TriggerPayload = CrmPayload | AnswerPayload | CadenceDue


class Happening(Protocol):
    """An event as the rules see it."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def payload(self) -> TriggerPayload: ...


class TouchpointKind(StrEnum):
    ORDER = "order"
    SERVICE = "service"
    ANSWER = "answer"
    PERIOD = "period"


class TouchpointState(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class TouchpointKey(NamedTuple):
    respondent_id: str
    kind: TouchpointKind
    ref: str


class Touchpoint(msgspec.Struct, frozen=True):
    """`source` and `event_id` are those of the event it was decided by; `details` what its purchase or service said."""

    key: TouchpointKey
    source: str | None = None
    event_id: str | None = None
    invitation_id: UUID | None = None
    program_id: str | None = None
    state: TouchpointState | None = None
    reversed_at: datetime | None = None
    delivered_at: datetime | None = None
    details: Mapping[str, Any] | None = None


# looked up by type: isinstance() of a pydantic model is slow where the answer is no
_REVERSALS = (PurchaseCancelled, ServiceReopened)
_COMPLETIONS = (PurchaseCompleted, ServiceCompleted)
_ANSWERS = (SurveyAnswered, AnswerAmended)


def is_reversal(payload: TriggerPayload) -> bool:
    return type(payload) in _REVERSALS


def is_completion(payload: TriggerPayload) -> bool:
    return type(payload) in _COMPLETIONS


def is_delivery(payload: TriggerPayload) -> TypeGuard[OrderDelivered]:
    return type(payload) is OrderDelivered


def is_answer(payload: TriggerPayload) -> TypeGuard[AnswerPayload]:
    return type(payload) in _ANSWERS


def is_historic(payload: TriggerPayload) -> bool:
    """Say whether an event only fills the history: `attributes.historic` is true, as a backfill says."""
    return getattr(payload, "attributes", {}).get("historic") is True


def touchpoint_key(payload: TriggerPayload) -> TouchpointKey | None:
    """Say what of whom an event is about."""
    match payload:
        case PurchaseCompleted() | PurchaseCancelled() | OrderDelivered():
            return TouchpointKey(payload.key, TouchpointKind.ORDER, payload.order.id)
        case ServiceCompleted() | ServiceReopened():
            return TouchpointKey(payload.key, TouchpointKind.SERVICE, payload.service.id)
        case AnswerPayload():
            return TouchpointKey(payload.key, TouchpointKind.ANSWER, str(payload.invitation_id))
        case CadenceDue():
            return TouchpointKey(payload.key, TouchpointKind.PERIOD, f"{payload.program_id}:{payload.period}")
    return None


def details_of(payload: TriggerPayload) -> dict[str, Any] | None:
    """Keep what a later event about the same order will be judged by; nothing of the customer."""
    match payload:
        case PurchaseCompleted():
            about = {"order": _said(payload.order)}
        case ServiceCompleted():
            about = {"service": _said(payload.service)}
        case _:
            return None
    about |= {"touchpoint": _said(payload.touchpoint), "attributes": payload.attributes}
    return {name: said for name, said in about.items() if said}


def _said(part: Part) -> dict[str, Any]:
    return {
        name: str(said) if isinstance(said, Decimal) else said
        for name, said in vars(part).items()
        if said is not None and name != "items"
    }


def with_details(payload: TriggerPayload, touchpoint: Touchpoint | None) -> TriggerPayload:
    """Read a delivery as the purchase it completes, where that is known."""
    if not is_delivery(payload) or touchpoint is None or touchpoint.details is None:
        return payload
    return PurchaseCompleted.model_validate(
        {**touchpoint.details, "customer": CustomerRef(id=payload.customer.id).model_dump()}
    )
