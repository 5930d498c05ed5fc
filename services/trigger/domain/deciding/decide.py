"""The decision: for one event, whom to ask and why. A pure function of event, programs, facts and now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.trigger.domain.deciding.cases import Case, Decision, Facts, Reason, Trial, TrialFacts
from services.trigger.domain.deciding.rules import RULES, send_at
from services.trigger.domain.programs.program import Program
from services.trigger.domain.touchpoints import (
    Happening,
    Touchpoint,
    TouchpointState,
    details_of,
    is_delivery,
    is_reversal,
)

_RANK = {reason: rank for rank, reason in enumerate(Reason)}


def decide(event: Happening, programs: Sequence[Program], facts: Facts, *, now: datetime) -> Decision:
    """Decide about one event; programs are tried in the order given, the first that asks wins.

    The reason is that of the rule that got furthest.
    """
    if is_reversal(event.payload):
        return _reversal(facts.touchpoint)
    trail: list[Trial] = []
    for program in programs:
        if not program.starts_on(event.payload):
            continue
        case = Case(event, program, facts, now)
        trail.append(_try(case))
        if trail[-1].reason is Reason.ASKED:
            return Decision(Reason.ASKED, trail, program, case, send_at(case)[0])
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
            return _trial(case, reason, shown)
    at, delayed_by = send_at(case)
    shown = {"channels": case.consented, "send_at": at}
    return _trial(case, Reason.ASKED, {**shown, "delayed_by": delayed_by} if delayed_by else shown)


def _trial(case: Case, reason: Reason, shown: TrialFacts) -> Trial:
    judged = case.program.wanted and reason not in _BEFORE_CONDITIONS
    missing = case.missing if judged else []
    more = {"missing": missing} if missing else {}
    more |= {"unusable": list(case.facts.unusable)} if case.facts.unusable else {}
    ahead = {"ahead_s": case.ahead_s} if case.ahead_s > 0 else {}
    return Trial(reason, {**shown, **more, **ahead}, case.program, missing)


_BEFORE_CONDITIONS = frozenset(reason for reason in Reason if _RANK[reason] < _RANK[Reason.CONDITION])


def touched(touchpoint: Touchpoint, event: Happening, decision: Decision, *, invitation_id: UUID | None) -> Touchpoint:
    """Say what is known of an order, a service, an answer or a period once its event is decided."""
    if is_reversal(event.payload):
        withdrawn = decision.reason is Reason.WITHDRAWN
        state = TouchpointState.WITHDRAWN if withdrawn else touchpoint.state
        return replace(touchpoint, state=state, reversed_at=touchpoint.reversed_at or event.time)
    if is_delivery(event.payload):
        touchpoint = replace(touchpoint, delivered_at=touchpoint.delivered_at or event.time)
    elif touchpoint.event_id is None:
        touchpoint = replace(touchpoint, source=event.source, event_id=event.id, details=details_of(event.payload))
    if invitation_id is None or decision.program is None:
        return touchpoint
    return replace(touchpoint, invitation_id=invitation_id, program_id=decision.program.id, state=TouchpointState.OPEN)
