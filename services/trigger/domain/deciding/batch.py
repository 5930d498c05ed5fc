"""The working memory of one batch: an event's facts count for the events after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from services.trigger.domain.deciding.cases import Case, Decision, Facts, Reason, Trial
from services.trigger.domain.deciding.decide import decide, touched
from services.trigger.domain.deciding.requests import event_ref, request_json, survey_request
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.deciding.suppressions import Suppression, SuppressionKey
from services.trigger.domain.programs.program import Program
from services.trigger.domain.programs.quotas import QuotaKey
from services.trigger.domain.respondents import ContactCause, Respondent, learn
from services.trigger.domain.touchpoints import (
    Touchpoint,
    TouchpointKey,
    TriggerPayload,
    is_completion,
    is_historic,
    is_reversal,
    touchpoint_key,
)
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    Customer,
    CustomerErased,
    Payload,
    PurchaseCancelled,
    PurchaseCompleted,
    RespondentConsentChanged,
    RespondentErased,
    RespondentPurchased,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import Service

COMES_BACK_WITHIN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class InstallationSettings:
    """What the installation lays down: the key id new links are signed with, and the region of a bare phone number."""

    link_key: str
    phone_region: str = ""


@dataclass(slots=True)
class DecisionBatch:
    """Decides events one after the other; what is to be written gathers in `decisions`, `events` and the changes."""

    programs: Sequence[Program]
    groups: Mapping[str, str]
    respondents: dict[str, Respondent]
    touchpoints: dict[TouchpointKey, Touchpoint]
    suppressions: dict[str, Sequence[Suppression]]
    used: dict[QuotaKey, int]
    now: datetime
    terms: InstallationSettings
    stored: AbstractSet[str | TouchpointKey] = frozenset()  # those of the respondents and touchpoints that have rows
    decisions: list[StoredDecision] = field(default_factory=list)
    events: list[Event[Payload]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    changed_respondents: set[str] = field(default_factory=set)
    changed_touchpoints: set[TouchpointKey] = field(default_factory=set)
    changed_quotas: set[QuotaKey] = field(default_factory=set)
    lifted: set[SuppressionKey] = field(default_factory=set)

    def decide(self, event: Event[TriggerPayload], digest: bytes) -> StoredDecision:
        key = touchpoint_key(event.payload)
        id_ = key.respondent_id if key else event.payload.key
        touchpoint = self.touchpoints.get(key, Touchpoint(key)) if key else None
        unusable = self._learn(event, self.respondents[id_], touchpoint)
        facts = Facts(
            self.respondents[id_], touchpoint, self.suppressions.get(id_, ()), unusable, self.groups, self.used
        )
        decision = decide(event, self.programs, facts, now=self.now)
        self.missing += [(t.program.id, name) for t in decision.trail if t.program and t.missing for name in t.missing]
        invitation_id = self._act(event, decision, facts)
        if touchpoint is not None:
            self._keep_touchpoint(touched(touchpoint, event, decision, invitation_id=invitation_id), touchpoint)
        stored = self._stored(event, digest, decision, key=key, invitation_id=invitation_id)
        self.decisions.append(stored)
        return stored

    def _learn(self, event: Event[TriggerPayload], known: Respondent, touchpoint: Touchpoint | None) -> list[str]:
        """Add what the event says of its customer, and name what of it could not be used."""
        payload, unusable = event.payload, list[str]()
        at = min(event.time, self.now)  # a clock that runs ahead must not outdate what comes later
        learned, customer = known, getattr(payload, "customer", None)
        if type(payload) is CustomerErased:
            learned = known.erased(at)
            self._publish(RespondentErased(respondent_id=known.id))
        elif type(customer) is Customer:
            learned, unusable = learn(known, customer, at=at, phone_region=self.terms.phone_region)
            self._free(learned, known)
            if known.known_at is not None and learned.consent != known.consent:
                self._publish(RespondentConsentChanged(respondent_id=known.id, consent=learned.consent))
        if is_completion(payload) and touchpoint is not None and touchpoint.event_id is None:
            learned = self._count_purchase(event, learned, at=at)
        self._keep_respondent(learned, known)
        return unusable

    def _free(self, after: Respondent, before: Respondent) -> None:
        """Lift what was said of an address that another one replaces; dispatcher does so with the next request."""
        known = self.suppressions.get(after.id, ())
        gone = [one for one in known if one.ends_with(before, after)]
        if gone:
            self.suppressions[after.id] = [one for one in known if one not in gone]
            self.lifted |= {SuppressionKey(after.id, one.channel, one.program, one.reason) for one in gone}

    def _count_purchase(self, event: Event[TriggerPayload], respondent: Respondent, *, at: datetime) -> Respondent:
        """Count it, and say so to scoring when it is by somebody who was asked not long before."""
        asked = respondent.moments.get(ContactCause.INVITATION, {}).values()
        if any(asked_at < at <= asked_at + COMES_BACK_WITHIN for asked_at in asked) and not is_historic(event.payload):
            reference = event_ref(event, event.payload, at=at)
            self._publish(RespondentPurchased(respondent_id=respondent.id, event=reference))
        return respondent.bought(at) if isinstance(event.payload, PurchaseCompleted) else respondent

    def _act(self, event: Event[TriggerPayload], decision: Decision, facts: Facts) -> UUID | None:
        """Ask or withdraw, and say which invitation it is about."""
        if decision.reason is Reason.ASKED and decision.case is not None and decision.send_at is not None:
            return self._ask(decision.case, decision.send_at)
        touchpoint = facts.touchpoint
        if (
            is_reversal(event.payload)
            and decision.reason is Reason.WITHDRAWN
            and touchpoint
            and touchpoint.invitation_id
        ):
            why = "cancelled" if isinstance(event.payload, PurchaseCancelled) else "reopened"
            self._publish(
                SurveyWithdrawn(respondent_id=event.payload.key, invitation_id=touchpoint.invitation_id, reason=why)
            )
            return touchpoint.invitation_id
        return None

    def _ask(self, case: Case, send_at: datetime) -> UUID:
        invitation_id, respondent = uuid7(), case.facts.respondent
        request = survey_request(case, invitation_id=invitation_id, send_at=send_at, link_key=self.terms.link_key)
        self._publish(request, request_json(request, case.program))
        self._keep_respondent(respondent.noting(ContactCause.INVITATION, case.program.id, send_at), respondent)
        for key in map(case.quota_key, case.program.document.quotas):
            self.used[key] = self.used.get(key, 0) + 1
            self.changed_quotas.add(key)
        return invitation_id

    def _publish(self, payload: Payload, data: bytes | None = None) -> None:
        self.events.append(cloudevents.new(payload, service=Service.TRIGGER, at=self.now, data=data))

    def _keep_respondent(self, after: Respondent, before: Respondent) -> None:
        if after != before:
            self.respondents[after.id] = after
            self.changed_respondents.add(after.id)

    def _keep_touchpoint(self, after: Touchpoint, before: Touchpoint) -> None:
        if after != before:
            self.touchpoints[after.key] = after
            self.changed_touchpoints.add(after.key)

    def _stored(
        self,
        event: Event[TriggerPayload],
        digest: bytes,
        decision: Decision,
        *,
        key: TouchpointKey | None,
        invitation_id: UUID | None,
    ) -> StoredDecision:
        return StoredDecision(
            id=uuid7(),
            source=event.source,
            event_id=event.id,
            digest=digest,
            type=event.type,
            respondent_id=event.payload.key,
            subject=key.ref if key else None,
            event_time=event.time,
            decided_at=self.now,
            reason=decision.reason,
            program_id=decision.program.id if decision.program else None,
            program_version=decision.program.version if decision.program else None,
            invitation_id=invitation_id,
            trail=[_shown(trial) for trial in decision.trail],
        )


def _shown(trial: Trial) -> dict[str, Any]:
    """Put a trial as the trail shows it."""
    program = {"program": trial.program.id, "version": trial.program.version} if trial.program else {}
    return {**program, "rule": trial.reason, "facts": trial.facts}
