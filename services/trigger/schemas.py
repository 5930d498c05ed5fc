"""What the API answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.trigger.domain.programs import Program
from services.trigger.repository.decisions import StoredDecision


class Decided(BaseModel):
    """The decision about one event, new or from before."""

    id: str = Field(description="The event's id.")
    source: str
    decision_id: UUID
    reason: str = Field(description="`asked`, or the rule that got furthest.")
    program: str | None
    invitation_id: UUID | None

    @classmethod
    def of(cls, stored: StoredDecision) -> Self:
        return cls(
            id=stored.event_id,
            source=stored.source,
            decision_id=stored.id,
            reason=stored.reason,
            program=stored.program_id,
            invitation_id=stored.invitation_id,
        )


class Refused(BaseModel):
    """Why one event of several was not taken."""

    status: int
    title: str
    detail: str


class Results(BaseModel):
    """One result for each event, in the order they were sent."""

    results: list[Decided | Refused]


class DecisionView(Decided):
    type: str
    subject: str | None
    program_version: int | None
    event_time: datetime
    decided_at: datetime
    trail: list[dict[str, Any]] = Field(description="Every program tried: the rule that stopped it, the facts it used.")

    @classmethod
    def of(cls, stored: StoredDecision) -> Self:
        return cls(
            **Decided.of(stored).model_dump(),
            type=stored.type,
            subject=stored.subject,
            program_version=stored.program_version,
            event_time=stored.event_time,
            decided_at=stored.decided_at,
            trail=[dict(trial) for trial in stored.trail],
        )


class Decisions(BaseModel):
    decisions: list[DecisionView]


class ProgramView(BaseModel):
    id: str
    version: int
    document: dict[str, Any]

    @classmethod
    def of(cls, program: Program) -> Self:
        return cls(id=program.id, version=program.version, document=program.document.model_dump(mode="json"))


class Programs(BaseModel):
    programs: list[ProgramView]


class ProgramVersion(ProgramView):
    applied_at: datetime


class ProgramHistory(ProgramView):
    """The current version, and every version from the newest to the first."""

    versions: list[ProgramVersion]


class Applied(ProgramView):
    changed: bool = Field(description="False where this very document was current already.")
