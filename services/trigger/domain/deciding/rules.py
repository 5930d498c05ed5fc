"""The rules, in the order they are tried: each returns the facts it stopped at, or None to let the event pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from services.trigger.domain.deciding.cases import Case, Reason, TrialFacts
from services.trigger.domain.programs.caps import Cap, Scope, ends_at
from services.trigger.domain.sampling import sample
from services.trigger.domain.touchpoints import is_answer, is_completion, is_delivery, is_historic, touchpoint_key
from shared.contract.vocabulary import AnswerMode


def _historic(case: Case) -> TrialFacts | None:
    imported = is_answer(case.payload) and case.payload.mode is AnswerMode.IMPORTED
    return {"historic": True} if imported or is_historic(case.payload) else None


def _too_old(case: Case) -> TrialFacts | None:
    limit = case.program.document.max_age
    if case.now - case.started_at <= limit:
        return None
    return {"event_time": case.started_at, "max_age_s": int(limit.total_seconds())}


def _duplicate(case: Case) -> TrialFacts | None:
    touchpoint = case.facts.touchpoint
    if touchpoint is None:
        return None
    if is_answer(case.event.payload):  # its reasons come later, as an amendment
        return {"invitation": touchpoint.invitation_id} if touchpoint.invitation_id is not None else None
    if not is_delivery(case.event.payload):
        decided_by = {"source": touchpoint.source, "event": touchpoint.event_id}
        return {"decided_by": decided_by} if touchpoint.event_id is not None else None
    if touchpoint.delivered_at is None and touchpoint.invitation_id is None:
        return None
    return {"delivered_at": touchpoint.delivered_at, "invitation": touchpoint.invitation_id}


def _withdrawn(case: Case) -> TrialFacts | None:
    touchpoint = case.facts.touchpoint
    return {"reversed_at": touchpoint.reversed_at} if touchpoint and touchpoint.reversed_at else None


def _waiting(case: Case) -> TrialFacts | None:
    if not case.waits_for_delivery:
        return None
    if is_delivery(case.payload):
        return {"for": "crm.purchase.completed"}
    delivered = case.facts.touchpoint is not None and case.facts.touchpoint.delivered_at is not None
    return {"for": "crm.order.delivered"} if is_completion(case.event.payload) and not delivered else None


def _unreachable(case: Case) -> TrialFacts | None:
    if case.reachable:
        return None
    return {"wanted": sorted(case.program.channels)}


def _no_consent(case: Case) -> TrialFacts | None:
    if case.consented:
        return None
    return {"consent": {channel: getattr(case.facts.respondent.consent, channel) for channel in case.reachable}}


def _suppressed(case: Case) -> TrialFacts | None:
    if not case.facts.suppressions:
        return None
    stopping = {
        channel: [s.reason for s in case.facts.suppressions if s.binds(case.program.id, channel, case.now)]
        for channel in case.consented
    }
    return {"suppressions": stopping} if all(stopping.values()) else None


def _condition(case: Case) -> TrialFacts | None:
    miss = case.program.check(case.fields) if case.program.document.conditions else None
    if miss is None:
        return None
    field = miss.get("field", "")
    found = None if field.startswith("customer.") else case.fields.get(field)
    return {"unmet": miss} if found is None else {"unmet": miss, "found": found}


def _holdout(case: Case) -> TrialFacts | None:
    share = case.program.document.holdout
    if share == 0:
        return None
    drawn = sample("holdout", case.program.id, case.facts.respondent.id)
    return {"holdout": share, "drawn": round(drawn, 4)} if drawn < share else None


def _sampled_out(case: Case) -> TrialFacts | None:
    """Draw for each order or service anew: who was not drawn may be the next time."""
    share = case.program.document.sample
    if share == 1:
        return None
    about = touchpoint_key(case.event.payload)
    drawn = sample("sample", case.program.id, case.facts.respondent.id, about.ref if about else case.event.id)
    return {"sample": share, "drawn": round(drawn, 4)} if drawn >= share else None


def _quarantined(case: Case) -> TrialFacts | None:
    last, rest = case.facts.respondent.last_asked_at, case.program.document.quarantine
    if last is not None and rest and case.planned_at < last + rest:
        return {"cap": "quarantine", "last_asked_at": last, "until": last + rest}
    for cap in case.program.document.caps:
        until = _cap_ends(case, cap)
        if until is None or until <= case.planned_at:
            continue
        if cap.then == "skip":
            return {"cap": cap.name, "after": cap.after.value, "until": until}
        if case.sent_from(until) - case.started_at > case.program.document.max_age:
            return {"cap": cap.name, "after": cap.after.value, "until": until, "too_long_to_wait": True}
    return None


def _cap_ends(case: Case, cap: Cap) -> datetime | None:
    program, groups = case.program, case.facts.groups
    counts: Callable[[str], bool]
    match cap.scope:
        case Scope.ALL:
            counts = lambda _other: True  # noqa: E731 - a function of one expression
        case Scope.PROGRAM:
            counts = program.id.__eq__
        case _:
            counts = lambda other: groups.get(other) == program.document.group  # noqa: E731 - a function of one expression
    return ends_at(cap, case.facts.respondent, counts=counts)


def _over_quota(case: Case) -> TrialFacts | None:
    for quota in case.program.document.quotas:
        key = case.quota_key(quota)
        if case.facts.used.get(key, 0) >= quota.limit:
            by = {quota.by: key.value} if quota.by else {}
            return {"quota": quota.name, "limit": quota.limit, "day": key.day.isoformat(), **by}
    return None


def send_at(case: Case) -> tuple[datetime, str | None]:
    """Say when an allowed survey goes out, and the cap that delays it."""
    latest, delayed_by = case.planned_at, None
    for cap in case.program.document.caps:
        if cap.then == "skip":
            continue
        until = _cap_ends(case, cap)
        if until is not None and until > latest:
            latest, delayed_by = case.sent_from(until), cap.name
    return latest, delayed_by


RULES: Sequence[tuple[Reason, Callable[[Case], TrialFacts | None]]] = (
    (Reason.HISTORIC, _historic),
    (Reason.TOO_OLD, _too_old),
    (Reason.DUPLICATE, _duplicate),
    (Reason.WITHDRAWN, _withdrawn),
    (Reason.WAITING, _waiting),
    (Reason.UNREACHABLE, _unreachable),
    (Reason.NO_CONSENT, _no_consent),
    (Reason.SUPPRESSED, _suppressed),
    (Reason.CONDITION, _condition),
    (Reason.HOLDOUT, _holdout),
    (Reason.SAMPLED_OUT, _sampled_out),
    (Reason.QUARANTINED, _quarantined),
    (Reason.OVER_QUOTA, _over_quota),
)
