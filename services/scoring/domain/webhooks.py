"""Who is told by webhook, for how long it is tried, and when an endpoint is given up."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit
from uuid import UUID

from shared.contract.events import AnswerAmended, DetractorReported, NpsDropped, NpsUpdated, SurveyAnswered

OFFERED = tuple(each.type for each in (SurveyAnswered, AnswerAmended, DetractorReported, NpsDropped, NpsUpdated))
USUAL = tuple(name for name in OFFERED if name != NpsUpdated.type)  # every changed figure is a flood
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
OVERLAP = timedelta(hours=24)  # a rotated secret still signs so long
KEPT = timedelta(days=7)  # what can be replayed
MOST = 50


class InvalidEndpoint(ValueError):
    """Not an address or a choice of events that can be served; the text says why."""


class DeliveryState(StrEnum):
    DUE = "due"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send; `secrets` all sign, the newest first. `disabled` says why nothing is sent."""

    id: UUID
    url: str
    types: tuple[str, ...]
    secrets: tuple[str, ...]
    disabled: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint; `tries` counts the one at hand."""

    event_id: str
    body: bytes
    tries: int = 1


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of a try: `outcome` is an HTTP status or why there is none; `wait` until the next try."""

    delivery: Delivery
    state: DeliveryState
    outcome: str
    wait: timedelta = timedelta()


def result(delivery: Delivery, outcome: int | str) -> DeliveryResult:
    """Say what follows a status, or the reason there was none: delivered, another try, or no more."""
    if isinstance(outcome, int) and 200 <= outcome < 300:
        return DeliveryResult(delivery, DeliveryState.DELIVERED, str(outcome))
    if delivery.tries > len(RETRIES):
        return DeliveryResult(delivery, DeliveryState.FAILED, str(outcome))
    return DeliveryResult(delivery, DeliveryState.DUE, str(outcome), RETRIES[delivery.tries - 1])


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_url(url: str) -> str:
    """Return the address as it is when it can be one; raises InvalidEndpoint."""
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0
    except ValueError:
        raise InvalidEndpoint("the address cannot be read") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_one:
        raise InvalidEndpoint("an address that begins with https:// is wanted")
    if parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidEndpoint("an address without user, fragment, spaces and foreign letters is wanted")
    return url


def checked_types(types: tuple[str, ...]) -> tuple[str, ...]:
    """Return the events asked for, once each; raises InvalidEndpoint."""
    if unknown := [name for name in types if name not in OFFERED]:
        raise InvalidEndpoint(f"{', '.join(unknown)} is not offered; these are: {', '.join(OFFERED)}")
    return tuple(dict.fromkeys(types)) or USUAL
