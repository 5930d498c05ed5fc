"""Requests and responses of the webhook routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from shared.contract.events import Id, Instant
from shared.web.strict_input import StrictInput


class WebhookIn(StrictInput):
    """Without `types`, the endpoint gets answers and alerts."""

    url: Annotated[str, StringConstraints(max_length=2000)]
    types: Annotated[list[Id], Field(max_length=20)] = Field(default_factory=list)


class WebhookOut(BaseModel):
    id: UUID
    url: str
    types: list[str]
    disabled: str | None


class WebhookSecret(BaseModel):
    """The secret is shown only once."""

    id: UUID
    secret: str


class WebhookAct(BaseModel):
    """What was done to an endpoint, when and by whom, in words."""

    what: str
    at: datetime
    by: str


class WebhookListed(WebhookOut):
    """With counts of the deliveries of the last seven days; what no audit log has any more is null."""

    due: int
    delivered: int
    failed: int
    last_outcome: str | None
    succeeded_at: datetime | None
    made: WebhookAct | None = None
    changed: WebhookAct | None = None


class Replay(StrictInput):
    """`delivered_too` also repeats deliveries that succeeded."""

    since: Instant
    delivered_too: bool = False


class Replayed(BaseModel):
    deliveries: int


class EndpointTest(BaseModel):
    """`outcome` is an HTTP status, or why there is none."""

    outcome: int | str
