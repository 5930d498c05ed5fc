"""The rules in the order they are tried: each returns the facts that stop the event, or None to let it pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from services.trigger.domain.deciding.cases import Case, DecisionReason, TrialFacts
from services.trigger.domain.programs.caps import Cap, CapScope, ends_at
from services.trigger.domain.respondents import LastContacts, last_asked
from services.trigger.domain.sampling import sample
from services.trigger.domain.touchpoints import is_answer, is_completion, is_delivery, is_historic, subject_of
from shared.contract.vocabulary import AnswerMode, ProgramState


def _switched_off(case: Case) -> TrialFacts | None:
    state = case.program.state
    return None if state is ProgramState.ON else {"state": state.value}


def _historic(case: Case) -> TrialFacts | None:
    payload, of_event = case.payload, case.event.payload
    imported = is_answer(payload) and payload.mode is AnswerMode.IMPORTED
    # of a delivery, the other payload is that of its purchase
    is_past = is_historic(payload) or (of_event is not payload and is_historic(of_event))
    return {"historic": True} if imported or is_past else None


def _too_old(case: Case) -> TrialFacts | None:
    limit = case.program.document.max_age
    if case.now - case.started_at <= limit:
        return None
    return {"event_time": case.started_at, "max_age_s": int(limit.total_seconds())}


def _duplicate(case: Case) -> TrialFacts | None:
    touchpoint = case.facts.touchpoint
    if touchpoint is None:
        return None
    if is_answer(case.event.payload):  # an amended answer is decided again, until it has led to a survey
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
    reasons = {
        channel: [s.reason for s in case.facts.suppressions if s.applies_to(case.program.id, channel, case.now)]
        for channel in case.consented
    }
    return {"suppressions": reasons} if all(reasons.values()) else None


def _condition(case: Case) -> TrialFacts | None:
    unmet = case.program.check(case.fields) if case.program.document.conditions else None
    if unmet is None:
        return None
    field = unmet.get("field", "")
    found = None if field.startswith("customer.") else case.fields.get(field)
    return {"unmet": unmet} if found is None else {"unmet": unmet, "found": found}


def _holdout(case: Case) -> TrialFacts | None:
    share = case.program.document.holdout
    if share == 0:
        return None
    drawn = sample("holdout", case.program.id, case.facts.respondent.id)
    return {"holdout": share, "drawn": round(drawn, 4)} if drawn < share else None


def _sampled_out(case: Case) -> TrialFacts | None:
    """Sample by order or service, so that a customer who is left out once may be included the next time."""
    share = case.program.document.sample
    if share == 1:
        return None
    subject = subject_of(case.event.payload)
    drawn = sample("sample", case.program.id, case.facts.respondent.id, subject.ref if subject else case.event.id)
    return {"sample": share, "drawn": round(drawn, 4)} if drawn >= share else None


def _quarantined(case: Case) -> TrialFacts | None:
    found = _capped(case, case.last_contacts)
    if found is None or not case.facts.addresses.others or _capped(case, case.facts.respondent.last_contacts):
        return found
    return {**found, "same_address_as": list(case.facts.addresses.others)}


def _capped(case: Case, contacts: LastContacts) -> TrialFacts | None:
    if not contacts:
        return None
    last, quarantine = last_asked(contacts), case.program.document.quarantine
    if last is not None and quarantine and case.planned_at < last + quarantine:
        return {"cap": "quarantine", "last_asked_at": last, "until": last + quarantine}
    for cap in case.program.document.caps:
        until = _cap_ends(case, cap, contacts)
        if until is None or until <= case.planned_at:
            continue
        if cap.then == "skip":
            return {"cap": cap.name, "after": cap.after.value, "until": until}
        if case.next_send_time(until) - case.started_at > case.program.document.max_age:
            return {"cap": cap.name, "after": cap.after.value, "until": until, "too_long_to_wait": True}
    return None


def _cap_ends(case: Case, cap: Cap, contacts: LastContacts) -> datetime | None:
    program, groups = case.program, case.facts.groups
    counts: Callable[[str], bool]
    match cap.scope:
        case CapScope.ALL:
            counts = lambda _other: True  # noqa: E731 - one expression
        case CapScope.PROGRAM:
            counts = program.id.__eq__
        case _:
            counts = lambda other: groups.get(other) == program.document.group  # noqa: E731 - one expression
    return ends_at(cap, contacts, counts=counts)


def _over_quota(case: Case) -> TrialFacts | None:
    for quota in case.program.document.quotas:
        key = case.quota_key(quota)
        if case.facts.quotas_used.get(key, 0) >= quota.limit:
            by = {quota.by: key.value} if quota.by else {}
            return {"quota": quota.name, "limit": quota.limit, "day": key.day.isoformat(), **by}
    return None


def send_at(case: Case) -> tuple[datetime, str | None]:
    """Return when a survey goes out and the name of the cap that delays it, if one does."""
    latest, delayed_by = case.planned_at, None
    if not case.last_contacts:
        return latest, delayed_by
    for cap in case.program.document.caps:
        if cap.then == "skip":
            continue
        until = _cap_ends(case, cap, case.last_contacts)
        if until is not None and until > latest:
            latest, delayed_by = case.next_send_time(until), cap.name
    return latest, delayed_by


RULES: Sequence[tuple[DecisionReason, Callable[[Case], TrialFacts | None]]] = (
    (DecisionReason.SWITCHED_OFF, _switched_off),
    (DecisionReason.HISTORIC, _historic),
    (DecisionReason.TOO_OLD, _too_old),
    (DecisionReason.DUPLICATE, _duplicate),
    (DecisionReason.WITHDRAWN, _withdrawn),
    (DecisionReason.WAITING, _waiting),
    (DecisionReason.UNREACHABLE, _unreachable),
    (DecisionReason.NO_CONSENT, _no_consent),
    (DecisionReason.SUPPRESSED, _suppressed),
    (DecisionReason.CONDITION, _condition),
    (DecisionReason.HOLDOUT, _holdout),
    (DecisionReason.SAMPLED_OUT, _sampled_out),
    (DecisionReason.QUARANTINED, _quarantined),
    (DecisionReason.OVER_QUOTA, _over_quota),
)
