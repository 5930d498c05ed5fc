"""Turns scores of an older tool into answers, each with an invitation that was never sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from services.scoring.domain.dimensions import DimensionValue, counted_dimensions
from services.scoring.domain.invitations import Answer, Content, Invitation, InvitationState, TriggerEvent
from shared.contract.events import Brand, Reasons, Thanks
from shared.contract.vocabulary import AnswerMode, respondent_id
from shared.zones import local_day

SOURCE = "earshot/import"
NOTHING_ASKED = Content(
    call_back=False, brand=Brand(name=""), question="", reasons=Reasons(), extra_questions=[], thanks=Thanks(), plan=[]
)
_IDS = UUID(
    "7ce1f1f7-6ab4-4f3b-9c0e-1f4f0a4f3d52"
)  # namespace of the ids: a score that is imported twice gets the same id


@dataclass(frozen=True, slots=True)
class PublishedProgram:
    id: str
    version: int
    title: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class ImportedScore:
    """A score of an older tool; `external_id` is its id in that tool, by which a repeated import is recognised."""

    external_id: str
    score: int
    at: datetime
    customer_id: str | None = None
    reasons: Sequence[str] = ()
    comment: str | None = None
    segments: Mapping[str, str] | None = None

    @property
    def customer(self) -> str:
        """The customer's id; an id made up for this score when the older tool did not know the customer."""
        return self.customer_id or f"imported-{self.external_id}"


def invitation_of(imported: ImportedScore, program: PublishedProgram, *, known: set[DimensionValue]) -> Invitation:
    """Make the invitation of an imported score; nobody can answer it and no response rate counts it."""
    day, segments = local_day(imported.at, program.time_zone), imported.segments or {}
    return Invitation(
        id=uuid5(_IDS, f"{program.id}|{imported.external_id}"),
        respondent_id=respondent_id(imported.customer),
        customer_id=imported.customer,
        program=program.id,
        program_version=program.version,
        program_title=program.title,
        locale="en",
        time_zone=program.time_zone,
        program_zone=program.time_zone,
        occasion=TriggerEvent(SOURCE, imported.external_id, "imported", imported.at),
        content=NOTHING_ASKED,
        segments=segments,
        dimensions=counted_dimensions(program.id, segments, version=program.version, known=known),
        expires_at=imported.at,
        invited_day=day,
        state=InvitationState.IMPORTED,
        opted_out=False,
        counted=True,
        answer=None,
    )


def answer_of(imported: ImportedScore, invitation: Invitation, *, new_id: UUID) -> Answer:
    return Answer(
        answer_id=new_id,
        version=1,
        score=imported.score,
        reasons=tuple(dict.fromkeys(imported.reasons)),
        comment=imported.comment,
        extra={},
        mode=AnswerMode.IMPORTED,
        step=0,
        channel=None,
        suspect=False,
        answered_at=imported.at,
        first_day=invitation.invited_day,
    )
