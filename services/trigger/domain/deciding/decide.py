"""The decision about one event: a pure function of the event, the programs, the facts and the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.trigger.domain.deciding.cases import Case, Decision, DecisionFacts, DecisionReason, Trial, TrialFacts
from services.trigger.domain.deciding.consent_facts import ASSUMED, ASSUMED_ON
from services.trigger.domain.deciding.rules import RULES, send_at
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.touchpoints import (
    TouchpointRecord,
    TouchpointState,
    TriggerPayload,
    details_of,
    is_completion,
    is_delivery,
    is_reversal,
)
from shared.contract.cloudevents import Event, IgnoredField

_RANK = {reason: rank for rank, reason in enumerate(DecisionReason)}


def decide(
    event: Event[TriggerPayload], programs: Sequence[CompiledProgram], facts: DecisionFacts, *, now: datetime
) -> Decision:
    """Try the programs in the order given, until one asks for a survey.

    If none asks, the reason is that of the trial that passed the most rules.
    """
    if is_reversal(event.payload):
        return _decide_reversal(facts.touchpoint)
    trail: list[Trial] = []
    for program in programs:
        if not program.starts_on(event.payload):
            continue
        case = Case(event, program, facts, now)
        trail.append(_try(case))
        if trail[-1].reason is DecisionReason.ASKED:
            return Decision(DecisionReason.ASKED, trail, program, case, trail[-1].facts["send_at"])
    if not trail:
        return Decision(DecisionReason.NO_PROGRAM)
    furthest = max(trail, key=lambda trial: _RANK[trial.reason])
    return Decision(furthest.reason, trail, furthest.program)


def _decide_reversal(touchpoint: TouchpointRecord | None) -> Decision:
    state = touchpoint.state if touchpoint else None
    reason = DecisionReason.WITHDRAWN if state is TouchpointState.OPEN else DecisionReason.NOTHING_TO_WITHDRAW
    return Decision(reason, [Trial(reason, {"survey": state})])


def _try(case: Case) -> Trial:
    for reason, rule in RULES:
        facts = rule(case)
        if facts is not None:
            return _trial(case, reason, facts)
    at, delayed_by = send_at(case)
    facts = {"channels": case.consented, "send_at": at}
    if case.assumed and (consent := _consent_facts(case)):
        facts["consent"] = consent
    return _trial(case, DecisionReason.ASKED, {**facts, "delayed_by": delayed_by} if delayed_by else facts)


def _consent_facts(case: Case) -> dict[str, str]:
    """Return the channels that are used because consent to them is assumed, and the ground of that."""
    ground = case.facts.consent_ground
    assumed = ASSUMED_ON % {"ground": ground} if ground else ASSUMED
    return {channel: assumed for channel in case.consented if channel in case.assumed}


def _trial(case: Case, reason: DecisionReason, facts: TrialFacts) -> Trial:
    reached_conditions = case.program.condition_fields and reason not in _BEFORE_CONDITIONS
    missing = case.missing if reached_conditions else ()
    more: dict[str, Any] = {}
    if missing:
        more["missing"] = missing
    if case.facts.ignored and (unusable := _names_of_customer(case.facts.ignored)):
        more["unusable"] = unusable
    if case.facts.addresses.is_shared:
        more["shared_address"] = True
    if case.event.time > case.now and case.ahead_s > 0:
        more["ahead_s"] = case.ahead_s
    return Trial(reason, {**facts, **more} if more else facts, case.program, missing)


def _names_of_customer(ignored: Sequence[IgnoredField]) -> list[str]:
    return [each.field.removeprefix("customer.") for each in ignored if each.field.startswith("customer.")]


_BEFORE_CONDITIONS = frozenset(reason for reason in DecisionReason if _RANK[reason] < _RANK[DecisionReason.CONDITION])


def reopened(touchpoint: TouchpointRecord, event: Event[TriggerPayload]) -> TouchpointRecord:
    """Return the touchpoint as not reversed if this event completes it, for the first time, after it was reversed."""
    late = touchpoint.reversed_at is not None and touchpoint.event_id is None and event.time > touchpoint.reversed_at
    return replace(touchpoint, reversed_at=None) if late and is_completion(event.payload) else touchpoint


def updated_touchpoint(
    touchpoint: TouchpointRecord, event: Event[TriggerPayload], decision: Decision, *, invitation_id: UUID | None
) -> TouchpointRecord:
    """Return the touchpoint with the changes of an event about it and of the event's decision."""
    if is_reversal(event.payload):
        withdrawn = decision.reason is DecisionReason.WITHDRAWN
        state = TouchpointState.WITHDRAWN if withdrawn else touchpoint.state
        return replace(touchpoint, state=state, reversed_at=touchpoint.reversed_at or event.time)
    changes: dict[str, Any] = {}
    if is_delivery(event.payload):
        changes = {"delivered_at": touchpoint.delivered_at or event.time}
    elif touchpoint.event_id is None:
        changes = {"source": event.source, "event_id": event.id, "details": details_of(event.payload)}
    if invitation_id is not None and decision.program is not None:
        changes |= {"invitation_id": invitation_id, "program_id": decision.program.id, "state": TouchpointState.OPEN}
    return replace(touchpoint, **changes) if changes else touchpoint
