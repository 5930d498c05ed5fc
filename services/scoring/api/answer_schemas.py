"""JSON of answers and of the call desk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from services.scoring.domain.calls import CallTask, TaskKind
from services.scoring.domain.comments.tags import MOST_TAGS
from services.scoring.domain.invitations import Invitation
from services.scoring.web.call_scripts import script_of
from shared.contract.events import AnsweredEvent, ExtraQuestion, Id, Reason, Score, Text
from shared.contract.vocabulary import AnswerMode, CallDisposition, CallOutcome, Category, ChannelKind
from shared.web.strict_input import StrictInput

Operator = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class AnswerOut(BaseModel):
    """Answers with `test` or `suspect` do not count in any score.

    After an erasure `customer_id` and `respondent_id` are a pseudonym, the same for all answers of one customer.
    `quote_name` is the name by which the comment may be quoted, "" for none; null if it may not be quoted.
    Of an anonymous answer all ids but `answer_id` are made up, and `event` is null.
    """

    answer_id: UUID
    invitation_id: UUID
    customer_id: str
    respondent_id: str
    event: AnsweredEvent | None
    program: str
    program_version: int
    version: int
    score: int
    category: Category
    reasons: list[str]
    comment: str | None
    extra: dict[str, str]
    segments: dict[str, str]
    tags: list[str]
    quote_name: str | None
    mode: AnswerMode
    step: int
    channel: ChannelKind | None
    suspect: bool
    test: bool
    answered_at: datetime
    day: date


class AnswersPage(BaseModel):
    """`next` is the `after` of the following page; null at the end."""

    answers: list[AnswerOut]
    next: str | None


class TagChange(StrictInput):
    """Tags to give to an answer and to take away; those it has and those it lacks are no error."""

    add: Annotated[list[str], Field(max_length=MOST_TAGS)] = Field(default_factory=list)
    remove: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)


class TagsOut(BaseModel):
    tags: list[str]


class Take(StrictInput):
    operator: Operator


class ChoiceOut(BaseModel):
    """A reason, or an answer that a question offers: its id is sent, its text is read aloud."""

    id: str
    text: str


class AskedQuestion(BaseModel):
    """An extra question; its answer is the id of one of the `choices`, or a text if `kind` is `text`."""

    id: str
    text: str
    kind: Literal["choice", "text"]
    choices: list[ChoiceOut]
    required: bool = False  # no program can demand an answer

    @classmethod
    def of(cls, question: ExtraQuestion) -> Self:
        kind = "choice" if question.choices else "text"
        return cls(id=question.id, text=question.text, kind=kind, choices=_choices(question.choices))


class TaskOut(BaseModel):
    """A call to make. All texts to read aloud are in the language of `locale`; `notice` is said in every call.

    The reasons in `promoter_reasons` are for scores of 9 and 10, those in `other_reasons` for all others. A call that
    the customer asked for (`callback`) has neither reasons nor extra questions.
    """

    task_id: UUID
    kind: TaskKind
    invitation_id: UUID
    phone: str
    name: str
    locale: str
    notice: str
    script: str
    promoter_reasons: list[ChoiceOut]
    other_reasons: list[ChoiceOut]
    extra_questions: list[AskedQuestion]
    summary: str
    time_zone: str
    try_: int = Field(serialization_alias="try")
    max_attempts: int

    @classmethod
    def of(cls, task: CallTask, invitation: Invitation, *, operator: str, now: datetime, **more: Any) -> Self:
        script = script_of(task, invitation, operator=operator, now=now)
        asked = invitation.content if task.kind is TaskKind.SURVEY else None
        return cls(
            task_id=task.task_id,
            kind=task.kind,
            invitation_id=task.invitation_id,
            phone=task.phone,
            name=task.name,
            locale=invitation.locale,
            notice=script.notice,
            script=script.text,
            promoter_reasons=_choices(asked.reasons.promoter) if asked else [],
            other_reasons=_choices(asked.reasons.other) if asked else [],
            extra_questions=[AskedQuestion.of(each) for each in asked.extra_questions] if asked else [],
            summary=task.summary,
            time_zone=task.time_zone,
            try_=task.tries + 1,
            max_attempts=task.max_attempts,
            **more,
        )


def _choices(reasons: Iterable[Reason]) -> list[ChoiceOut]:
    return [ChoiceOut(id=each.id, text=each.text) for each in reasons]


class CallAnswer(StrictInput):
    """What a respondent said in a call; `extra` has the answers to extra questions by the question's id."""

    score: Score
    reasons: Annotated[list[Id], Field(max_length=100)] = Field(default_factory=list)
    comment: Text | None = None
    extra: Annotated[dict[Id, Text], Field(max_length=100)] = Field(default_factory=dict)


class DeskAnswer(CallAnswer):
    operator: Operator


class DeskAnswerOut(BaseModel):
    task_id: UUID
    invitation_id: UUID
    answer_id: UUID
    version: int
    score: int
    category: Category


class CallResult(StrictInput):
    """`minutes` is the delay until the next call; only `call_later` uses it."""

    disposition: CallDisposition
    minutes: Annotated[int, Field(ge=5, le=20160)] = 60


class DeskOutcome(CallResult):
    operator: Operator


class DeskOutcomeOut(BaseModel):
    """The state of the task: open and due again at `due_at`, or closed with an outcome."""

    task_id: UUID
    open: bool
    outcome: CallOutcome | None
    due_at: datetime | None
