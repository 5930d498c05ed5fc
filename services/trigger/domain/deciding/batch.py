"""Decides a batch of events in memory, so that each event sees the effects of those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.trigger.domain.addresses import KnownAddresses, addresses_of
from services.trigger.domain.deciding.cases import Case, Decision, DecisionFacts, DecisionReason, Trial
from services.trigger.domain.deciding.decide import decide, reopened, updated_touchpoint
from services.trigger.domain.deciding.requests import event_ref, request_json, survey_request
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.deciding.suppressions import KnownSuppression, KnownSuppressionKey
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.programs.quotas import QuotaKey
from services.trigger.domain.respondents import ContactCause, Respondent, merge_customer, published_consent
from services.trigger.domain.touchpoints import (
    TouchpointKey,
    TouchpointRecord,
    TriggerPayload,
    is_completion,
    is_historic,
    is_reversal,
    touchpoint_key,
)
from shared.contract import cloudevents
from shared.contract.address_keys import AddressKeys
from shared.contract.cloudevents import Event, EventPayload, IgnoredField
from shared.contract.events import (
    Customer,
    CustomerErased,
    CustomerUpdated,
    EventRef,
    PurchaseCancelled,
    PurchaseCompleted,
    RespondentConsentChanged,
    RespondentContactAdded,
    RespondentErased,
    RespondentPurchased,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import Service
from shared.ids import new_id

RETURN_WINDOW = timedelta(days=90)  # a purchase within this time after an invitation is reported to scoring


@dataclass(frozen=True, slots=True)
class InstallationSettings:
    """What is the same for every program.

    `link_key` is the id of the key that new links are signed with, `phone_region` the country of phone numbers without
    a country code, `store_zones` has the time zone of each store. `address_keys` makes the fingerprints of addresses;
    an address of more than `shared_address_ids` ids is no identity of a person. `consent_ground` is the ground on which
    programs assume consent.
    """

    link_key: str
    phone_region: str = ""
    store_zones: Mapping[str, str] = field(default_factory=dict)
    address_keys: AddressKeys = field(default_factory=lambda: AddressKeys({"none": "none"}))
    shared_address_ids: int = 10
    consent_ground: str = ""


@dataclass(slots=True)
class DecisionBatch:
    """Holds the facts that events are decided by, and collects what has to be stored and published.

    `stored` has the keys of respondents and touchpoints that have a row already; `missing` collects, as (program id,
    field), the fields that conditions needed and events lacked.
    """

    programs: Sequence[CompiledProgram]
    groups: Mapping[str, str]
    respondents: dict[str, Respondent]
    touchpoints: dict[TouchpointKey, TouchpointRecord]
    suppressions: dict[str, Sequence[KnownSuppression]]
    quotas_used: dict[QuotaKey, int]
    now: datetime
    settings: InstallationSettings
    addresses: KnownAddresses
    stored: AbstractSet[str | TouchpointKey] = frozenset()
    decisions: list[StoredDecision] = field(default_factory=list)
    events: list[Event[EventPayload]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    clashes: int = 0  # customers whose addresses replaced those of another source
    changed_respondents: set[str] = field(default_factory=set)
    changed_touchpoints: set[TouchpointKey] = field(default_factory=set)
    changed_quotas: set[QuotaKey] = field(default_factory=set)
    lifted: set[KnownSuppressionKey] = field(default_factory=set)

    def decide(
        self, event: Event[TriggerPayload], digest: bytes, *, respondent_id: str | None = None
    ) -> StoredDecision:
        """Decide an event about this respondent; None: the one that the event's key names."""
        id_ = respondent_id or event.payload.key
        key = touchpoint_key(event.payload, id_)
        touchpoint = reopened(self.touchpoints.get(key, TouchpointRecord(key)), event) if key else None
        ignored = [*event.ignored, *self._update_respondent(event, self.respondents[id_], touchpoint)]
        respondent = self.respondents[id_]
        facts = DecisionFacts(
            respondent,
            touchpoint,
            [*self.suppressions.get(id_, ()), *self.addresses.suppressions_of(respondent)],
            ignored,
            self.groups,
            self.quotas_used,
            self.settings.store_zones,
            self.addresses.history_of(respondent),
            self.settings.consent_ground,
        )
        decision = decide(event, self.programs, facts, now=self.now)
        for trial in decision.trail:
            if trial.program and trial.missing:
                self.missing += [(trial.program.id, name) for name in trial.missing]
        invitation_id = self._publish_outcome(event, decision, facts)
        if touchpoint is not None:
            self._record_touchpoint(
                updated_touchpoint(touchpoint, event, decision, invitation_id=invitation_id), touchpoint
            )
        stored = self._stored_decision(event, digest, decision, facts, invitation_id=invitation_id)
        self.decisions.append(stored)
        return stored

    def _update_respondent(
        self, event: Event[TriggerPayload], known: Respondent, touchpoint: TouchpointRecord | None
    ) -> list[IgnoredField]:
        """Replace the batch's respondent by one updated from the event's customer.

        Returns the customer's fields that are not valid; these keep their earlier values.
        """
        payload, ignored = event.payload, list[IgnoredField]()
        at = min(event.time, self.now)  # else an event from the future would make later ones look outdated
        updated, customer = known, getattr(payload, "customer", None)
        if type(payload) is CustomerErased:
            updated = known.erased(at)
            self.addresses.erased.update(addresses_of(known))
            self._publish(RespondentErased(respondent_id=known.id))
        elif type(customer) is Customer:
            region, is_patch = self.settings.phone_region, type(payload) is CustomerUpdated
            updated, ignored = merge_customer(known, customer, at=at, phone_region=region, is_patch=is_patch)
            updated, clash = updated.with_address_source(event.source, before=known)
            if clash is not None:
                ignored, self.clashes = [*ignored, clash], self.clashes + 1
            if self.suppressions:
                self._lift_obsolete_suppressions(known, updated)
            if known.known_at is not None:
                self._publish_consent(known, updated)
            if known.last_asked_at is not None and (added := known.contact_added(updated)) is not None:
                self._publish(RespondentContactAdded(respondent_id=known.id, contact=added))
        if touchpoint is not None and touchpoint.reversed_at is None:
            updated = self._update_history(event, updated, touchpoint, at=at)
        self.addresses.updated(known, updated)
        self._record_respondent(updated, known)
        return ignored

    def _publish_consent(self, before: Respondent, after: Respondent) -> None:
        """Publish a change of consent, for open surveys."""
        consent, offers = published_consent(before, after), after.offers if after.offers != before.offers else None
        if consent != before.consent or offers is not None:
            self._publish(RespondentConsentChanged(respondent_id=after.id, consent=consent, offers=offers))

    def _lift_obsolete_suppressions(self, before: Respondent, after: Respondent) -> None:
        """Lift suppressions of a replaced address in trigger's copy; dispatcher lifts its own at the next request."""
        known = self.suppressions.get(after.id, ())
        obsolete = [one for one in known if one.is_obsolete(before, after)]
        if obsolete:
            self.suppressions[after.id] = [one for one in known if one not in obsolete]
            self.lifted |= {KnownSuppressionKey(after.id, one.channel, one.program, one.reason) for one in obsolete}

    def _update_history(
        self, event: Event[TriggerPayload], respondent: Respondent, touchpoint: TouchpointRecord, *, at: datetime
    ) -> Respondent:
        """Count what is completed for the first time, and take back a counted purchase that is cancelled."""
        if touchpoint.event_id is None:
            return self._count_purchase(event, respondent, at=at) if is_completion(event.payload) else respondent
        if type(event.payload) is not PurchaseCancelled:
            return respondent
        if touchpoint.source is not None and _may_be_return(respondent, touchpoint):
            counted = EventRef(
                source=touchpoint.source,
                id=touchpoint.event_id,
                type=PurchaseCompleted.type,
                time=at,
                subject=touchpoint.key.ref,
            )
            self._publish(RespondentPurchased(respondent_id=respondent.id, event=counted, cancelled=True))
        return respondent.without_purchase()

    def _count_purchase(self, event: Event[TriggerPayload], respondent: Respondent, *, at: datetime) -> Respondent:
        """Count a purchase, and report it to scoring if the customer was asked within RETURN_WINDOW before it."""
        if _was_asked_lately(respondent, at) and not is_historic(event.payload):
            reference = event_ref(event, event.payload, at=at)
            self._publish(RespondentPurchased(respondent_id=respondent.id, event=reference))
        return respondent.with_purchase(at) if isinstance(event.payload, PurchaseCompleted) else respondent

    def _publish_outcome(self, event: Event[TriggerPayload], decision: Decision, facts: DecisionFacts) -> UUID | None:
        """Publish the request or the withdrawal that follows from a decision; return its invitation's id."""
        if decision.reason is DecisionReason.ASKED and decision.case is not None and decision.send_at is not None:
            return self._request_survey(decision.case, decision.send_at)
        touchpoint = facts.touchpoint
        if (
            decision.reason is DecisionReason.WITHDRAWN
            and is_reversal(event.payload)
            and touchpoint
            and touchpoint.invitation_id
        ):
            reason = "cancelled" if isinstance(event.payload, PurchaseCancelled) else "reopened"
            self._publish(
                SurveyWithdrawn(
                    respondent_id=facts.respondent.id, invitation_id=touchpoint.invitation_id, reason=reason
                )
            )
            return touchpoint.invitation_id
        return None

    def _request_survey(self, case: Case, send_at: datetime) -> UUID:
        invitation_id, respondent = new_id(), case.facts.respondent
        request = survey_request(case, invitation_id=invitation_id, send_at=send_at, link_key=self.settings.link_key)
        self._publish(request, request_json(request, case.program))
        self._record_respondent(respondent.with_contact(ContactCause.INVITATION, case.program.id, send_at), respondent)
        self.addresses.invited(respondent, case.program.id, send_at)
        for key in map(case.quota_key, case.program.document.quotas):
            self.quotas_used[key] = self.quotas_used.get(key, 0) + 1
            self.changed_quotas.add(key)
        return invitation_id

    def _publish(self, payload: EventPayload, data: bytes | None = None) -> None:
        self.events.append(cloudevents.new(payload, service=Service.TRIGGER, at=self.now, data=data))

    def _record_respondent(self, after: Respondent, before: Respondent) -> None:
        if after != before:
            self.respondents[after.id] = after
            self.changed_respondents.add(after.id)

    def _record_touchpoint(self, after: TouchpointRecord, before: TouchpointRecord) -> None:
        if after != before:
            self.touchpoints[after.key] = after
            self.changed_touchpoints.add(after.key)

    def _stored_decision(
        self,
        event: Event[TriggerPayload],
        digest: bytes,
        decision: Decision,
        facts: DecisionFacts,
        *,
        invitation_id: UUID | None,
    ) -> StoredDecision:
        return StoredDecision(
            id=new_id(),
            source=event.source,
            event_id=event.id,
            digest=digest,
            type=event.type,
            respondent_id=facts.respondent.id,
            subject=facts.touchpoint.key.ref if facts.touchpoint else None,
            event_time=event.time,
            decided_at=self.now,
            reason=decision.reason,
            program_id=decision.program.id if decision.program else None,
            program_version=decision.program.version if decision.program else None,
            invitation_id=invitation_id,
            trail=[_trail_entry(trial, link_key=self.settings.link_key) for trial in decision.trail],
            ignored=[{"field": each.field, "why": each.why} for each in facts.ignored] if facts.ignored else None,
        )


def _was_asked_lately(respondent: Respondent, at: datetime) -> bool:
    """Whether the respondent was asked within RETURN_WINDOW before this time."""
    if not respondent.last_contacts:
        return False
    asked = respondent.last_contacts.get(ContactCause.INVITATION, {}).values()
    return any(asked_at < at <= asked_at + RETURN_WINDOW for asked_at in asked)


def _may_be_return(respondent: Respondent, touchpoint: TouchpointRecord) -> bool:
    """Whether the customer may have been asked about something else before this counted purchase."""
    asked_by = respondent.last_contacts.get(ContactCause.INVITATION, {}).keys()
    return bool(asked_by - {touchpoint.program_id}) or (bool(asked_by) and respondent.purchases > 1)


def _trail_entry(trial: Trial, *, link_key: str) -> dict[str, Any]:
    if trial.program is None:
        return {"rule": trial.reason, "facts": trial.facts}
    facts, step = trial.facts, trial.program.link_step
    if step is not None and trial.reason is DecisionReason.ASKED:
        facts = {**facts, "link": {"step": step, "key": link_key}}  # from which its address is derived
    return {"program": trial.program.id, "version": trial.program.version, "rule": trial.reason, "facts": facts}
