"""Invitations, their contents and current answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid4

from msgspec import Struct, convert
from msgspec.structs import replace
from pydantic import Field, OnErrorOmit

from services.scoring.domain.bot_detection import Device
from services.scoring.domain.score import Tally
from shared.contract.events import (
    Brand,
    CallPriority,
    CallRetry,
    ExtraQuestion,
    Labels,
    Part,
    PlanStep,
    Reason,
    Reasons,
    SurveyRequested,
    Thanks,
)
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind, UnansweredCall, category_of
from shared.zones import local_day


class InvitationState(StrEnum):
    OPEN = "open"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    IMPORTED = "imported"  # made for a score of an older tool


class TriggerEvent(Struct, frozen=True):
    """The event an invitation is about; `subject` is its order or service, `number` what people call it.

    It has the fields of the contract's `EventRef`, but is a struct: one is parsed for every answer, and this is faster.
    """

    source: str
    id: str
    type: str
    time: datetime
    subject: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    number: str | None = None

    @property
    def known_as(self) -> str | None:
        return self.number or self.subject


class StoredStep(PlanStep):
    """A step of a plan; what another release wrote of its `retries` and this one cannot read is left out."""

    retries: dict[OnErrorOmit[UnansweredCall], OnErrorOmit[CallRetry]] = Field(default_factory=dict)


class Content(Part):
    """Texts and plan for answer page and call desk, equal in all invitations of a program version and language."""

    brand: Brand
    question: str
    reasons: Reasons
    extra_questions: list[ExtraQuestion]
    thanks: Thanks
    labels: Labels = Field(default_factory=dict)
    call_back: bool = True  # the default of documents stored before the field existed
    call_priority: CallPriority = CallPriority()
    anonymous: bool = False
    plan: list[StoredStep]

    def reasons_for(self, score: int) -> list[Reason]:
        return self.reasons.promoter if category_of(score) is Category.PROMOTER else self.reasons.other

    @property
    def all_reasons(self) -> dict[str, str]:
        """Texts of all reasons by id; for an id in both lists, the text for passives and detractors."""
        return {reason.id: reason.text for reason in (*self.reasons.promoter, *self.reasons.other)}

    def takes(self, question: str, said: str) -> bool:
        """Whether this may be said to an extra question, by its id; an empty text takes an answer back."""
        asked = next((each for each in self.extra_questions if each.id == question), None)
        if asked is None:
            return False
        return not said.strip() or not asked.choices or any(choice.id == said for choice in asked.choices)

    def extra_answers(self, extra: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the text of each extra question that is answered, with the answer in words."""
        return [
            (asked.text, {choice.id: choice.text for choice in asked.choices}.get(said, said))
            for asked in self.extra_questions
            if (said := extra.get(asked.id, ""))
        ]

    def channel_of(self, step: int) -> ChannelKind | None:
        return next((planned.channel for planned in self.plan if planned.step == step), None)


def may_request_review(offers: Sequence[ChannelKind], *, over: ChannelKind | None) -> bool:
    """Whether a customer who allows offers over these channels may be asked for a review after this answer.

    The channel is that of the answer's step; a link that the shop shows is none of Earshot's channels.
    """
    return over in offers if over is not None and over.contacts else bool(offers)


class Answer(Struct, frozen=True):
    """A version of an answer; `first_day` is the day it counts on, `answered_at` the time of this version.

    A suspect answer is stored and shown, but not counted until a person amends it or staff confirm it.
    """

    answer_id: UUID
    version: int
    score: int
    reasons: tuple[str, ...]
    comment: str | None
    extra: Mapping[str, str]
    mode: AnswerMode
    step: int
    channel: ChannelKind | None
    suspect: bool
    answered_at: datetime
    first_day: date
    device: Device | None = None
    callback_wanted: bool = False

    @property
    def counts(self) -> bool:
        return not self.suspect

    @property
    def tally(self) -> Tally:
        return Tally.of_one(self.score, mode=self.mode, suspect=self.suspect)


class Invitation(Struct, frozen=True):
    """An invitation; one whose answers are anonymous has made-up ids of respondent and customer, no name and no order.

    `asked_id` is then the respondent's id, for opt-outs and erasures alone; it is None in all others.
    """

    id: UUID
    respondent_id: str
    customer_id: str
    program: str
    program_version: int
    program_title: str
    locale: str
    time_zone: str
    program_zone: str
    occasion: TriggerEvent
    content: Content
    segments: Mapping[str, str]
    dimensions: Mapping[str, str]  # the values it is counted under, by dimension
    expires_at: datetime
    invited_day: date
    state: InvitationState
    opted_out: bool
    counted: bool
    answer: Answer | None
    name: str = ""
    phone: str = ""
    asked_id: str | None = None

    @classmethod
    def of(cls, request: SurveyRequested, *, program_zone: str, dimensions: Mapping[str, str]) -> Invitation:
        """Make the invitation of a request; a test is not counted."""
        invitation = cls(
            id=request.invitation_id,
            respondent_id=request.respondent_id,
            customer_id=request.customer_id,
            program=request.program.id,
            program_version=request.program.version,
            program_title=request.program.title,
            locale=request.locale,
            time_zone=request.time_zone,
            program_zone=program_zone,
            occasion=convert(request.event, TriggerEvent, from_attributes=True),
            content=Content.model_validate(request, from_attributes=True),
            segments=request.segments,
            dimensions=dimensions,
            expires_at=request.expires_at,
            invited_day=local_day(request.send_at, program_zone),
            state=InvitationState.OPEN,
            opted_out=False,
            counted=not request.test,
            answer=None,
            name=request.customer_name or "",
            phone=request.contact.phone or "",
        )
        return _without_person(invitation) if request.anonymous else invitation

    @property
    def anonymous(self) -> bool:
        return self.asked_id is not None

    @property
    def genuine_answer(self) -> Answer | None:
        """The answer, or None while it is suspect."""
        return self.answer if self.answer is not None and self.answer.counts else None


def _without_person(invitation: Invitation) -> Invitation:
    nobody = f"anonymous-{uuid4()}"
    occasion = TriggerEvent(source="", id="", type=invitation.occasion.type, time=invitation.occasion.time)
    names = {"respondent_id": nobody, "customer_id": nobody, "name": "", "phone": ""}
    return replace(invitation, **names, occasion=occasion, asked_id=invitation.respondent_id)


class LinkVisit(Struct, frozen=True):
    """A request with an answer link; `fingerprint` is the hash of the link's token."""

    fingerprint: bytes
    at: datetime


class ResolvedLink(Struct, frozen=True):
    """The invitation of a link, with signs of a bot.

    `links` is how many different scores had their links fetched at about the same time; `soon` is true when a message
    was sent not long ago. `ScannerWindows` has both times.
    """

    invitation: Invitation
    links: int
    soon: bool
