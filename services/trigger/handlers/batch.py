"""The working memory of one batch: an event's facts count for the events after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from services.trigger.domain.decisions import Decision, Facts, Reason, Suppression, Trial, decide, touched
from services.trigger.domain.programs import Program
from services.trigger.domain.requests import survey_request
from services.trigger.domain.respondents import Respondent, learn
from services.trigger.domain.touchpoints import Touchpoint, TouchpointKey, is_reversal, touchpoint_key
from services.trigger.repository.decisions import StoredDecision
from shared import cloudevents
from shared.cloudevents import Event
from shared.events import (
    CrmPayload,
    Customer,
    CustomerErased,
    Payload,
    PurchaseCancelled,
    PurchaseCompleted,
    RespondentConsentChanged,
    RespondentErased,
    SurveyWithdrawn,
)
from shared.vocabulary import Service


@dataclass(frozen=True, slots=True)
class Terms:
    """What the installation lays down: the key id new links are signed with, and the region of a bare phone number."""

    link_key: str
    phone_region: str = ""


@dataclass(slots=True)
class Batch:
    """Decides events one after the other; what is to be written gathers in `decisions`, `events` and the changes."""

    programs: Sequence[Program]
    respondents: dict[str, Respondent]
    touchpoints: dict[TouchpointKey, Touchpoint]
    suppressions: Mapping[str, Sequence[Suppression]]
    now: datetime
    terms: Terms
    decisions: list[StoredDecision] = field(default_factory=list)
    events: list[Event[Payload]] = field(default_factory=list)
    changed_respondents: set[str] = field(default_factory=set)
    changed_touchpoints: set[TouchpointKey] = field(default_factory=set)

    def decide(self, event: Event[CrmPayload], digest: bytes) -> StoredDecision:
        id_ = event.payload.key
        key = touchpoint_key(event.payload)
        touchpoint = self.touchpoints.get(key, Touchpoint(key)) if key else None
        respondent, unusable = self._learn(event, touchpoint)
        facts = Facts(respondent, touchpoint, self.suppressions.get(id_, ()), unusable)
        decision = decide(event, self.programs, facts, now=self.now)
        invitation_id = self._act(event, decision, facts)
        if touchpoint is not None:
            self._keep_touchpoint(touched(touchpoint, event, decision, invitation_id=invitation_id), touchpoint)
        stored = self._stored(event, digest, decision, key=key, invitation_id=invitation_id)
        self.decisions.append(stored)
        return stored

    def _learn(self, event: Event[CrmPayload], touchpoint: Touchpoint | None) -> tuple[Respondent, list[str]]:
        payload, known, unusable = event.payload, self.respondents[event.payload.key], list[str]()
        at = min(event.time, self.now)  # a clock that runs ahead must not outdate what comes later
        learned = known
        if isinstance(payload, CustomerErased):
            learned = known.erased(at)
            self._publish(RespondentErased(respondent_id=known.id))
        elif isinstance(payload.customer, Customer):
            learned, unusable = learn(known, payload.customer, at=at, phone_region=self.terms.phone_region)
            if known.known_at is not None and learned.consent != known.consent:
                self._publish(RespondentConsentChanged(respondent_id=known.id, consent=learned.consent))
        if isinstance(payload, PurchaseCompleted) and touchpoint is not None and touchpoint.event_id is None:
            learned = replace(learned, purchases=learned.purchases + 1)
        self._keep_respondent(learned, known)
        return learned, unusable

    def _act(self, event: Event[CrmPayload], decision: Decision, facts: Facts) -> UUID | None:
        """Ask or withdraw, and say which invitation it is about."""
        respondent, touchpoint = facts.respondent, facts.touchpoint
        if decision.reason is Reason.ASKED and decision.program is not None:
            invitation_id = uuid7()
            request = survey_request(
                event,
                decision.program,
                respondent,
                invitation_id=invitation_id,
                link_key=self.terms.link_key,
                now=self.now,
            )
            self._publish(request)
            self._keep_respondent(replace(respondent, last_asked_at=self.now), respondent)
            return invitation_id
        if (
            is_reversal(event.payload)
            and decision.reason is Reason.WITHDRAWN
            and touchpoint
            and touchpoint.invitation_id
        ):
            why = "cancelled" if isinstance(event.payload, PurchaseCancelled) else "reopened"
            self._publish(
                SurveyWithdrawn(respondent_id=respondent.id, invitation_id=touchpoint.invitation_id, reason=why)
            )
            return touchpoint.invitation_id
        return None

    def _publish(self, payload: Payload) -> None:
        self.events.append(cloudevents.new(payload, service=Service.TRIGGER, at=self.now))

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
        event: Event[CrmPayload],
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
