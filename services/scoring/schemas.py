"""JSON of the API."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.scoring.domain.calls import TaskKind
from shared.events import Id, Instant, Score, Text
from shared.vocabulary import AnswerMode, CallDisposition, CallOutcome, Category, ChannelKind

Operator = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnswerOut(BaseModel):
    """`test` answers are in no score, nor are suspect ones."""

    answer_id: UUID
    invitation_id: UUID
    customer_id: str
    program: str
    program_version: int
    version: int
    score: int
    category: Category
    reasons: list[str]
    comment: str | None
    extra: dict[str, str]
    segments: dict[str, str]
    mode: AnswerMode
    step: int
    channel: ChannelKind | None
    suspect: bool
    test: bool
    answered_at: datetime
    day: date


class AnswersPage(BaseModel):
    """`next` is the `after` of the page that follows; null at the end."""

    answers: list[AnswerOut]
    next: str | None


class ConfirmedOut(BaseModel):
    answer_id: UUID
    version: int
    suspect: bool


class Take(_In):
    operator: Operator


class TaskOut(BaseModel):
    task_id: UUID
    kind: TaskKind
    invitation_id: UUID
    phone: str
    name: str
    script: str
    summary: str
    time_zone: str
    try_: int = Field(serialization_alias="try")
    max_attempts: int


class DeskAnswer(_In):
    operator: Operator
    score: Score
    reasons: Annotated[list[Id], Field(max_length=100)] = []
    comment: Text | None = None


class DeskAnswerOut(BaseModel):
    task_id: UUID
    invitation_id: UUID
    answer_id: UUID
    version: int
    score: int
    category: Category


class DeskOutcome(_In):
    """`minutes` until a call to be made later."""

    operator: Operator
    disposition: CallDisposition
    minutes: Annotated[int, Field(ge=5, le=20160)] = 60


class DeskOutcomeOut(BaseModel):
    """What became of the task: open and due again, or closed with its outcome."""

    task_id: UUID
    open: bool
    outcome: CallOutcome | None
    due_at: datetime | None


class WebhookIn(_In):
    """`types` left out are those of answers and alerts."""

    url: Annotated[str, StringConstraints(max_length=2000)]
    types: Annotated[list[Id], Field(max_length=20)] = []


class WebhookOut(BaseModel):
    id: UUID
    url: str
    types: list[str]
    disabled: str | None


class WebhookSecret(BaseModel):
    """The secret is told once: keep it."""

    id: UUID
    secret: str


class WebhookListed(WebhookOut):
    """With what became of the deliveries of the last seven days."""

    due: int
    delivered: int
    failed: int
    last_outcome: str | None
    succeeded_at: datetime | None


class Replay(_In):
    """`delivered_too` sends again what was taken as well."""

    since: Instant
    delivered_too: bool = False


class Replayed(BaseModel):
    deliveries: int


class Tried(BaseModel):
    """An HTTP status, or why there was none."""

    outcome: int | str
