"""Touchpoints: the orders, services, answers and periods that surveys are about, and what events add to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeGuard
from uuid import UUID

import msgspec

from shared.contract.events import (
    AnswerAmended,
    AnswerPayload,
    CrmPayload,
    CustomerRef,
    Order,
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
    """A relational program is due for a customer; an internal event, never published."""

    type = "cadence.due"
    topic = ""
    respondent_id: str
    program_id: str
    period: int

    @property
    def key(self) -> str:
        return self.respondent_id


TriggerPayload = CrmPayload | AnswerPayload | CadenceDue


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


class Subject(NamedTuple):
    """The order, service, answer or period that an event is about."""

    kind: TouchpointKind
    ref: str


class TouchpointKey(NamedTuple):
    respondent_id: str
    kind: TouchpointKind
    ref: str


class InvitationKey(NamedTuple):
    """An invitation; it is found by its respondent."""

    respondent_id: str
    invitation_id: UUID


class TouchpointRecord(msgspec.Struct, frozen=True, gc=False):
    """The stored facts about a touchpoint.

    `source` and `event_id` name the event it was decided by. `details` are the order or service, touchpoint and
    attributes of that event, see `details_of`.
    """

    key: TouchpointKey
    source: str | None = None
    event_id: str | None = None
    invitation_id: UUID | None = None
    program_id: str | None = None
    state: TouchpointState | None = None
    reversed_at: datetime | None = None
    delivered_at: datetime | None = None
    details: Mapping[str, Any] | None = None


# looked up by type: isinstance() of a pydantic model is slow when it is false
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
    """Whether `attributes.historic` is true, as in a backfill: the event adds to the history and starts no survey."""
    return (getattr(payload, "attributes", None) or {}).get("historic") is True


def subject_of(payload: TriggerPayload) -> Subject | None:
    """Return what an event is about, None for an event about a customer only."""
    match payload:
        case PurchaseCompleted() | PurchaseCancelled() | OrderDelivered():
            return Subject(TouchpointKind.ORDER, payload.order.id)
        case ServiceCompleted() | ServiceReopened():
            return Subject(TouchpointKind.SERVICE, payload.service.id)
        case AnswerPayload():
            return Subject(TouchpointKind.ANSWER, str(payload.invitation_id))
        case CadenceDue():
            return Subject(TouchpointKind.PERIOD, f"{payload.program_id}:{payload.period}")
    return None


_KINDS = {
    **{each.type: TouchpointKind.ORDER for each in (PurchaseCompleted, PurchaseCancelled, OrderDelivered)},
    **{each.type: TouchpointKind.SERVICE for each in (ServiceCompleted, ServiceReopened)},
}


def key_of_purchase(event_type: str, respondent_id: str, subject: str | None) -> TouchpointKey | None:
    """Return the key of the order or service that an event of this type is about, None if it is about neither."""
    kind = _KINDS.get(event_type)
    return None if kind is None or subject is None else TouchpointKey(respondent_id, kind, subject)


def touchpoint_key(payload: TriggerPayload, respondent_id: str) -> TouchpointKey | None:
    """Return the touchpoint of this respondent that an event is about."""
    subject = subject_of(payload)
    return subject and TouchpointKey(respondent_id, *subject)


def details_of(payload: TriggerPayload) -> dict[str, Any] | None:
    """Return the data of a completed purchase or service that later events need, without personal data; else None."""
    match payload:
        case PurchaseCompleted():
            details: dict[str, Any] = {"order": _order_details(payload.order)}
        case ServiceCompleted():
            details = {"service": _fields(payload.service)}
        case _:
            return None
    if touchpoint := _fields(payload.touchpoint):
        details["touchpoint"] = touchpoint
    if payload.attributes:
        details["attributes"] = payload.attributes
    return details


def known_number(details: Mapping[str, Any] | None) -> str | None:
    """Return the number by which people know an order or service with these details, None if that is its id."""
    part = (details or {}).get("order") or (details or {}).get("service") or {}
    return part.get("number") or None


def number_of(details: Mapping[str, Any] | None) -> str | None:
    """Return the number by which people know an order or service with these details, as it is searched for."""
    known = known_number(details)
    return searched_number(known) or None if known else None


def searched_number(typed: str) -> str:
    """Return the number of an order without case and without a number sign in front of it."""
    return typed.strip(" #№").casefold()


def store_of(payload: TriggerPayload) -> str | None:
    """Return the store of an event; of an answer, the store of the survey that was answered."""
    if is_answer(payload):
        return payload.segments.get("store")
    return getattr(getattr(payload, "touchpoint", None), "store", None)


def _order_details(order: Order) -> dict[str, Any]:
    details = _fields(order)
    del details["items"]
    if order.amount is not None:
        details["amount"] = str(order.amount)
    return details


def _fields(part: Part) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if value is not None}


def with_details(payload: TriggerPayload, touchpoint: TouchpointRecord | None) -> TriggerPayload:
    """Return the purchase of a delivery if its details are known, else the payload as it is."""
    if not is_delivery(payload) or touchpoint is None or touchpoint.details is None:
        return payload
    return PurchaseCompleted.model_validate(
        {**touchpoint.details, "customer": CustomerRef(id=payload.customer.id).model_dump()}
    )
