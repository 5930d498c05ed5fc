"""The decision: for one event, whom to ask and why. A pure function of event, programs, facts and now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.trigger.domain.conditions import fields_of
from services.trigger.domain.programs import Program
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import CrmEvent, Touchpoint, TouchpointState, is_completion, is_reversal
from shared.vocabulary import ChannelKind


class Reason(StrEnum):
    """Why somebody was asked or not, in the order the rules are tried."""

    NO_PROGRAM = "no_program"
    HISTORIC = "historic"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"
    UNREACHABLE = "unreachable"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    CONDITION = "condition"
    HOLDOUT = "holdout"
    SAMPLED_OUT = "sampled_out"
    QUARANTINED = "quarantined"
    OVER_QUOTA = "over_quota"
    ASKED = "asked"
    NOTHING_TO_WITHDRAW = "nothing_to_withdraw"


_RANK = {reason: rank for rank, reason in enumerate(Reason)}


@dataclass(frozen=True, slots=True)
class Suppression:
    """`channel` and `program` None mean all; `until` None means for ever."""

    channel: ChannelKind | None
    program: str | None
    reason: str
    until: datetime | None

    def binds(self, program: str, channel: ChannelKind, now: datetime) -> bool:
        return (
            self.channel in (None, channel)
            and self.program in (None, program)
            and (self.until is None or now < self.until)
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when an event is decided; `unusable` names the customer's fields that could not be read."""

    respondent: Respondent
    touchpoint: Touchpoint | None
    suppressions: Sequence[Suppression] = ()
    unusable: Sequence[str] = ()


Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One program: the rule that stopped it, and the facts that rule used; never an address or a name."""

    reason: Reason
    facts: Shown
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    reason: Reason
    trail: Sequence[Trial] = ()
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Case:
    event: CrmEvent
    program: Program
    facts: Facts
    now: datetime

    @property
    def reachable(self) -> list[ChannelKind]:
        planned = dict.fromkeys(step.channel for step in self.program.document.plan)
        return [channel for channel in planned if self.facts.respondent.has_address(channel)]

    @property
    def consented(self) -> list[ChannelKind]:
        return [channel for channel in self.reachable if consent_to(self.program, self.facts.respondent, channel)]


def consent_to(program: Program, respondent: Respondent, channel: ChannelKind) -> bool | None:
    """Read a channel's consent; where nothing is known, the program may assume it."""
    known: bool | None = getattr(respondent.consent, channel)
    return True if known is None and channel in program.document.assume_consent else known


def decide(event: CrmEvent, programs: Sequence[Program], facts: Facts, *, now: datetime) -> Decision:
    """Decide about one event; programs are tried in the order given, the first that asks wins.

    The reason is that of the rule that got furthest.
    """
    if is_reversal(event.payload):
        return _reversal(facts.touchpoint)
    trail: list[Trial] = []
    for program in programs:
        if event.payload.type in program.document.starts_on:
            trail.append(_try(Case(event, program, facts, now)))
            if trail[-1].reason is Reason.ASKED:
                break
    if not trail:
        return Decision(Reason.NO_PROGRAM)
    furthest = max(trail, key=lambda trial: _RANK[trial.reason])
    return Decision(furthest.reason, trail, furthest.program)


def _reversal(touchpoint: Touchpoint | None) -> Decision:
    state = touchpoint.state if touchpoint else None
    reason = Reason.WITHDRAWN if state is TouchpointState.OPEN else Reason.NOTHING_TO_WITHDRAW
    return Decision(reason, [Trial(reason, {"survey": state})])


def _try(case: Case) -> Trial:
    for reason, rule in RULES:
        shown = rule(case)
        if shown is not None:
            return Trial(reason, _with_unusable(shown, case.facts), case.program)
    return Trial(Reason.ASKED, _with_unusable({"channels": case.consented}, case.facts), case.program)


def _with_unusable(shown: Shown, facts: Facts) -> Shown:
    return {**shown, "unusable": list(facts.unusable)} if facts.unusable else shown


# --- the rules: each returns the facts it stopped at, or None where it lets the event pass


def _too_old(case: Case) -> Shown | None:
    limit = case.program.document.max_age
    if case.now - case.event.time <= limit:
        return None
    return {"event_time": case.event.time, "max_age_s": int(limit.total_seconds())}


def _duplicate(case: Case) -> Shown | None:
    touchpoint = case.facts.touchpoint
    if touchpoint is None or touchpoint.event_id is None:
        return None
    return {"decided_by": {"source": touchpoint.source, "event": touchpoint.event_id}}


def _withdrawn(case: Case) -> Shown | None:
    touchpoint = case.facts.touchpoint
    return {"reversed_at": touchpoint.reversed_at} if touchpoint and touchpoint.reversed_at else None


def _unreachable(case: Case) -> Shown | None:
    if case.reachable:
        return None
    return {"wanted": sorted({step.channel for step in case.program.document.plan})}


def _no_consent(case: Case) -> Shown | None:
    if case.consented:
        return None
    return {"consent": {channel: getattr(case.facts.respondent.consent, channel) for channel in case.reachable}}


def _suppressed(case: Case) -> Shown | None:
    stopping = {
        channel: [s.reason for s in case.facts.suppressions if s.binds(case.program.id, channel, case.now)]
        for channel in case.consented
    }
    return {"suppressions": stopping} if all(stopping.values()) else None


def _condition(case: Case) -> Shown | None:
    if case.program.document.conditions is None:
        return None
    fields = fields_of(case.event.payload, source=case.event.source, respondent=case.facts.respondent, now=case.now)
    miss = case.program.check(fields)
    if miss is None:
        return None
    shown: dict[str, Any] = {"unmet": miss.model_dump(mode="json", exclude_none=True)}
    field = shown["unmet"].get("field", "")
    if field and fields.get(field) is None:
        shown["missing"] = field
    elif field and not field.startswith("customer."):
        shown["found"] = fields[field]
    return shown


def _quarantined(case: Case) -> Shown | None:
    last, rest = case.facts.respondent.last_asked_at, case.program.document.quarantine
    if last is None or case.now >= last + rest:
        return None
    return {"last_asked_at": last, "until": last + rest}


RULES: Sequence[tuple[Reason, Callable[[Case], Shown | None]]] = (
    (Reason.TOO_OLD, _too_old),
    (Reason.DUPLICATE, _duplicate),
    (Reason.WITHDRAWN, _withdrawn),
    (Reason.UNREACHABLE, _unreachable),
    (Reason.NO_CONSENT, _no_consent),
    (Reason.SUPPRESSED, _suppressed),
    (Reason.CONDITION, _condition),
    (Reason.QUARANTINED, _quarantined),
)


def touched(touchpoint: Touchpoint, event: CrmEvent, decision: Decision, *, invitation_id: UUID | None) -> Touchpoint:
    """Say what is known of an order or service once its event is decided."""
    if is_reversal(event.payload):
        withdrawn = decision.reason is Reason.WITHDRAWN
        state = TouchpointState.WITHDRAWN if withdrawn else touchpoint.state
        return replace(touchpoint, state=state, reversed_at=touchpoint.reversed_at or event.time)
    if touchpoint.event_id is not None or not is_completion(event.payload):
        return touchpoint
    state = TouchpointState.OPEN if invitation_id else None
    return replace(touchpoint, source=event.source, event_id=event.id, invitation_id=invitation_id, state=state)
