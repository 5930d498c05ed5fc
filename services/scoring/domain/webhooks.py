"""Webhook endpoints, their event types, and the retries of a delivery."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit
from uuid import UUID

from shared.contract.events import (
    AnswerAmended,
    DetractorReported,
    NpsDropped,
    NpsUpdated,
    Payload,
    QuoteConsentChanged,
    RespondentErased,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyAnswered,
)

FORWARDED = (RespondentSuppressed, RespondentReleased, RespondentErased)  # events of other services
LINK_READY = "survey.link_ready"  # only for webhooks: no event of the log has a link
_ANSWERS_AND_ALERTS: tuple[type[Payload], ...] = (SurveyAnswered, AnswerAmended, DetractorReported, NpsDropped)
DEFAULT_TYPES = tuple(each.type for each in _ANSWERS_AND_ALERTS)
EVENT_TYPES = (
    *DEFAULT_TYPES,
    *(each.type for each in (NpsUpdated, QuoteConsentChanged, RespondentOptedOut, *FORWARDED)),
    LINK_READY,
)
RETRIES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
SECRET_OVERLAP = timedelta(hours=24)  # for so long deliveries are also signed with a replaced secret
RETENTION = timedelta(days=7)  # after it, deliveries are deleted
MAX_ENDPOINTS = 50


class InvalidEndpoint(ValueError):
    """The URL or the event types are not valid; the text says why."""


class DeliveryState(StrEnum):
    DUE = "due"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Deliveries are signed with all `secrets`, newest first; `disabled` is the reason, None while it is enabled."""

    id: UUID
    url: str
    types: tuple[str, ...]
    secrets: tuple[str, ...]
    disabled: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint; `tries` includes the current one."""

    event_id: str
    body: bytes
    tries: int = 1


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of one try: `outcome` is the HTTP status or why there is none, `wait` the time to the next try."""

    delivery: Delivery
    state: DeliveryState
    outcome: str
    wait: timedelta = timedelta()


def delivery_result(delivery: Delivery, outcome: int | str) -> DeliveryResult:
    """Return the result of a try: delivered for a status 2xx, else due again, failed after the last retry.

    `outcome` is the HTTP status, or why there is none.
    """
    if isinstance(outcome, int) and 200 <= outcome < 300:
        return DeliveryResult(delivery, DeliveryState.DELIVERED, str(outcome))
    if delivery.tries > len(RETRIES):
        return DeliveryResult(delivery, DeliveryState.FAILED, str(outcome))
    return DeliveryResult(delivery, DeliveryState.DUE, str(outcome), RETRIES[delivery.tries - 1])


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_url(url: str) -> str:
    """Return the URL unchanged when it is valid; raises InvalidEndpoint."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        raise InvalidEndpoint("the address cannot be parsed") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_valid:
        raise InvalidEndpoint("the address must begin with https://")
    if parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidEndpoint("the address must be ASCII, without user, fragment and spaces")
    return url


def checked_types(types: tuple[str, ...]) -> tuple[str, ...]:
    """Return the event types without repetitions, or the default ones for none; raises InvalidEndpoint."""
    if unknown := [name for name in types if name not in EVENT_TYPES]:
        raise InvalidEndpoint(f"{', '.join(unknown)} is not an event type; these are: {', '.join(EVENT_TYPES)}")
    return tuple(dict.fromkeys(types)) or DEFAULT_TYPES
