"""The responses of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.trigger.domain.deciding.cases import DecisionReason
from services.trigger.domain.deciding.explanations import RuleOutcome, rule_outcomes, would_change
from services.trigger.domain.deciding.stored_decision import FORGOTTEN, StoredDecision
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.respondents import Respondent
from shared.contract.vocabulary import CONTACT_CHANNELS, ConsentPurpose, ProgramState
from shared.languages.marking import mark
from shared.web.qr import qr_svg

KEPT_AFTER_ERASURE = mark(
    "If the customer opted out, complained or said STOP, a keyed fingerprint of that address is kept, only to "
    "contact it no more. Trigger keeps the customer's id, when the customer was last asked, and the decisions until "
    "their age is over: a late event would bring the addresses back. Scoring keeps the scores under a random id."
)


class ShownLink(BaseModel):
    """The link to the question, for the shop to show; only for plans with the step `link`."""

    url: str
    qr_url: str = Field(description="The link's QR code as SVG.")
    qr_svg: str | None = Field(description="The same picture; null in the results of a batch.")

    @classmethod
    def of(cls, url: str, *, with_picture: bool) -> Self:
        return cls(url=url, qr_url=f"{url}/qr.svg", qr_svg=qr_svg(url) if with_picture else None)


class IgnoredView(BaseModel):
    """A field that was left out, or not taken as it was sent."""

    field: str
    why: str


class Decided(BaseModel):
    """The decision about one event; a repeated event gets the decision that was made before."""

    id: str = Field(description="The event's id.")
    source: str
    decision_id: UUID
    reason: str = Field(
        description="`asked`, the rule that stopped the event, or `forgotten`: decided before, and past retention."
    )
    program: str | None
    invitation_id: UUID | None
    ignored: list[IgnoredView] = Field([], description="Fields that could not be read; the event was decided without.")
    link: ShownLink | None = None

    @classmethod
    def of(cls, stored: StoredDecision) -> Self:
        return cls(
            ignored=[IgnoredView(field=each["field"], why=each["why"]) for each in stored.ignored or ()],
            id=stored.event_id,
            source=stored.source,
            decision_id=stored.id,
            reason=stored.reason,
            program=stored.program_id,
            invitation_id=stored.invitation_id,
        )


class Erased(Decided):
    """The receipt of an erasure."""

    kept: str = Field(
        KEPT_AFTER_ERASURE,
        description="What outlives the erasure, in words.",
    )


class StatementView(BaseModel):
    """A yes or a no to these purposes, with its proof, if the event had one."""

    given: bool
    at: datetime
    purposes: list[ConsentPurpose]
    source: str | None
    text: str | None


class ConsentView(BaseModel):
    """What was stated about the consent of a customer."""

    customer: str
    consent: dict[str, list[StatementView]] = Field(description="What holds, by channel; each purpose is named once.")

    @classmethod
    def of(cls, respondent: Respondent) -> Self:
        made = {each.value: respondent.statements_about(each) for each in CONTACT_CHANNELS}
        return cls(
            customer=respondent.id,
            consent={
                channel: [StatementView.model_validate(one, from_attributes=True) for one in statements]
                for channel, statements in made.items()
                if statements
            },
        )


class Consents(BaseModel):
    customers: list[ConsentView]


class RuleView(BaseModel):
    rule: str
    outcome: RuleOutcome


class TrialView(BaseModel):
    """One program tried for one event."""

    program: str | None
    version: int | None
    rule: str = Field(description="The rule that stopped the event, or `asked`.")
    facts: dict[str, Any] = Field(description="The facts that this rule used.")
    rules: list[RuleView] = Field(description="Every rule in order.")
    would_change: str

    @classmethod
    def of(cls, trial: Mapping[str, Any], *, event_type: str) -> Self:
        reason, facts = DecisionReason(trial["rule"]), trial["facts"]
        return cls(
            program=trial.get("program"),
            version=trial.get("version"),
            rule=reason,
            facts=facts,
            rules=[RuleView(rule=rule, outcome=outcome) for rule, outcome in rule_outcomes(reason)],
            would_change=would_change(reason, facts, event_type=event_type),
        )


class DecisionView(Decided):
    customer: str
    type: str
    subject: str | None
    program_version: int | None
    event_time: datetime
    decided_at: datetime
    would_change: str = Field(description="What would have let the event pass; empty if nothing stopped it.")
    trail: list[TrialView] = Field(description="Every program tried, in order.")

    @classmethod
    def of(cls, stored: StoredDecision) -> Self:
        return cls(
            **Decided.of(stored).model_dump(),
            customer=stored.respondent_id,
            type=stored.type,
            subject=stored.subject,
            program_version=stored.program_version,
            event_time=stored.event_time,
            decided_at=stored.decided_at,
            would_change=_headline(stored),
            trail=[TrialView.of(trial, event_type=stored.type) for trial in stored.trail],
        )


def _headline(stored: StoredDecision) -> str:
    if stored.reason == FORGOTTEN:
        return "Nothing: each event is decided once."
    reason = DecisionReason(stored.reason)
    facts: Mapping[str, Any] = next((trial["facts"] for trial in stored.trail if trial["rule"] == reason), {})
    return would_change(reason, facts, event_type=stored.type)


class TriedEvent(BaseModel):
    """The decision that would be made about an event; nothing of it was stored."""

    id: str = Field(description="The event's id.")
    source: str
    dry_run: Literal[True] = True
    reason: str = Field(description="`asked`, or the rule that would stop the event.")
    program: str | None
    ignored: list[IgnoredView] = Field(description="Fields that could not be read.")
    would_change: str = Field(description="What would let the event pass; empty if nothing stops it.")
    trail: list[TrialView] = Field(description="Every program tried, in order.")

    @classmethod
    def of(cls, stored: StoredDecision) -> Self:
        names = ("id", "source", "reason", "program", "ignored", "would_change", "trail")
        return cls(**DecisionView.of(stored).model_dump(include=set(names)))


class RefusedEvent(BaseModel):
    """Why one event of a batch was rejected."""

    status: int
    title: str
    detail: str


class BatchResults(BaseModel):
    """One result per event, in the order of the request."""

    results: list[Decided | TriedEvent | RefusedEvent]


class Decisions(BaseModel):
    decisions: list[DecisionView]


class ProgramView(BaseModel):
    id: str
    version: int
    state: ProgramState = Field(description="The stricter of its own state and that of all programs.")
    document: dict[str, Any]

    @classmethod
    def of(cls, program: CompiledProgram) -> Self:
        document = program.document.model_dump(mode="json")
        return cls(id=program.id, version=program.version, state=program.state, document=document)


class WantedState(BaseModel):
    """A state to set, as said by `POST /v1/programs/{id}/state`."""

    model_config = ConfigDict(extra="forbid")

    state: ProgramState


class Programs(BaseModel):
    programs: list[ProgramView]


class ProgramVersion(BaseModel):
    id: str
    version: int
    document: dict[str, Any]
    applied_at: datetime


class ProgramHistory(ProgramView):
    """The current version, and every version from the newest to the first."""

    versions: list[ProgramVersion]


class AppliedProgram(ProgramView):
    changed: bool = Field(description="False if this document was current already.")
