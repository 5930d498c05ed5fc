"""The types of a decision: its facts (input), its cases (one event tried for one program), reasons and trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from services.trigger.domain.addresses import AddressHistory, merged_contacts
from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.phone_zones import PhoneZone, phone_zone
from services.trigger.domain.programs.event_fields import EventFields, Fields
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.programs.quotas import Quota, QuotaKey
from services.trigger.domain.programs.segments import segments_of
from services.trigger.domain.programs.timing import clamp_to_now, first_send_time
from services.trigger.domain.respondents import LastContacts, Respondent
from services.trigger.domain.touchpoints import TouchpointRecord, TriggerPayload, is_completion, store_of, with_details
from shared.contract.cloudevents import Event, IgnoredField
from shared.contract.events import PlanStep
from shared.contract.vocabulary import CONTACT_CHANNELS, ChannelKind
from shared.zones import local_day


class DecisionReason(StrEnum):
    """Why a survey was sent or not, in the order of the rules."""

    NO_PROGRAM = "no_program"
    SWITCHED_OFF = "switched_off"
    HISTORIC = "historic"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"
    WAITING = "waiting"
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


class DecisionFacts(msgspec.Struct, frozen=True, gc=False):
    """The data that the decision about one event uses.

    `ignored` names the event's fields that could not be read, `groups` has the group of each program that belongs to
    one, `quotas_used` the counter of each quota, and `store_zones` the time zone of each store. `addresses` tells what
    is known about the respondent's addresses under other ids, `consent_ground` on which ground consent is assumed.
    """

    respondent: Respondent
    touchpoint: TouchpointRecord | None
    suppressions: Sequence[KnownSuppression] = ()
    ignored: Sequence[IgnoredField] = ()
    groups: Mapping[str, str] = msgspec.field(default_factory=dict)
    quotas_used: Mapping[QuotaKey, int] = msgspec.field(default_factory=dict)
    store_zones: Mapping[str, str] = msgspec.field(default_factory=dict)
    addresses: AddressHistory = msgspec.field(default_factory=AddressHistory)
    consent_ground: str = ""


TrialFacts = Mapping[str, Any]  # without addresses and names, because they are stored and shown to staff


class Trial(msgspec.Struct, frozen=True, gc=False):
    """One program tried: the rule that stopped it or `asked`, its facts, and the condition fields that are missing."""

    reason: DecisionReason
    facts: TrialFacts
    program: CompiledProgram | None = None
    missing: Sequence[str] = ()


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`program` is the program that decided; `case` and `send_at` are set only if a survey is sent."""

    reason: DecisionReason
    trail: Sequence[Trial] = ()
    program: CompiledProgram | None = None
    case: Case | None = None
    send_at: datetime | None = None


T = TypeVar("T")


class _cached(Generic[T]):  # noqa: N801 - a decorator, named as `property` is
    """A property computed once; `functools.cached_property` also takes a lock before Python 3.12."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute, self._name = compute, compute.__name__

    def __get__(self, case: Case, _owner: type[Case]) -> T:
        value = case.__dict__[self._name] = self._compute(case)
        return value


class Case(msgspec.Struct, frozen=True, dict=True):
    """One event tried for one program, with what the rules derive from both."""

    event: Event[TriggerPayload]
    program: CompiledProgram
    facts: DecisionFacts
    now: datetime

    @_cached
    def payload(self) -> TriggerPayload:
        return with_details(self.event.payload, self.facts.touchpoint)

    @_cached
    def started_at(self) -> datetime:
        """The time that age and delay are counted from: the event's, or the delivery's if the program waits for it."""
        delivered = self.facts.touchpoint.delivered_at if self.facts.touchpoint else None
        if delivered is not None and self.waits_for_delivery and is_completion(self.event.payload):
            return clamp_to_now(delivered, self.now)
        return clamp_to_now(self.event.time, self.now)

    @property
    def ahead_s(self) -> int:
        """How many seconds the event's time is in the future; such an event counts as happening now."""
        return int((self.event.time - self.now).total_seconds())

    @property
    def waits_for_delivery(self) -> bool:
        return self.program.waits_for_delivery(self.event.payload)

    @_cached
    def zone(self) -> str:
        """The zone of the customer: the known one, else that of the phone number, the store or the program."""
        if self.phone_zone is not None:
            return self.phone_zone.name
        of_store = self.facts.store_zones.get(store_of(self.payload) or "")
        return self.facts.respondent.time_zone or of_store or self.program.document.time_zone

    @_cached
    def phone_zone(self) -> PhoneZone | None:
        """The zone of the customer's phone number, where it is needed: when the event states no zone."""
        respondent = self.facts.respondent
        if respondent.time_zone or not respondent.phone:
            return None
        return phone_zone(respondent.phone, window=self.program.shortest_window, at=self.now)

    @property
    def plan(self) -> Sequence[PlanStep]:
        """The program's plan; if the customer may be in several zones, its windows are what they have in common."""
        zone = self.phone_zone
        if zone is None or not (zone.later or zone.sooner):
            return self.program.plan
        return [
            step.model_copy(update={"window": zone.common_hours(step.window)}) if step.window else step
            for step in self.program.plan
        ]

    @_cached
    def fields(self) -> Fields:
        return EventFields(self.payload, self.event.source, self.facts.respondent, self.now)

    @property
    def missing(self) -> list[str]:
        return [name for name in self.program.condition_fields if self.fields.get(name) is None]

    @_cached
    def segments(self) -> dict[str, str]:
        return segments_of(self.program.document.segments, self.fields)

    @_cached
    def reachable(self) -> list[ChannelKind]:
        respondent = self.facts.respondent
        return [each for each in self.program.channels if not each.contacts or respondent.address(each)]

    @_cached
    def last_contacts(self) -> LastContacts:
        """The contacts that caps count: those of the respondent, and of others at the same addresses."""
        return merged_contacts(self.facts.respondent.last_contacts, self.facts.addresses.last_contacts)

    @_cached
    def consented(self) -> list[ChannelKind]:
        return [channel for channel in self.reachable if consent_to(self.program, self.facts.respondent, channel)]

    @_cached
    def assumed(self) -> list[ChannelKind]:
        """The channels to which consent is assumed, because nothing is known of it."""
        known, assumable = self.facts.respondent.consent, self.program.document.assume_consent
        return [each for each in CONTACT_CHANNELS if each in assumable and getattr(known, each) is None]

    @_cached
    def planned_at(self) -> datetime:
        """When the survey goes out if no cap delays it."""
        return self.next_send_time(self.started_at + self.program.document.delay)

    def next_send_time(self, moment: datetime) -> datetime:
        """Return the first time from `moment` on at which this program sends."""
        return first_send_time(moment, at=self.program.document.at, zone=self.zone, now=self.now)

    def quota_key(self, quota: Quota) -> QuotaKey:
        value = self.segments.get(quota.by, "") if quota.by else ""
        return QuotaKey(self.program.id, quota.name, value, local_day(self.now, self.program.document.time_zone))


def consent_to(program: CompiledProgram, respondent: Respondent, channel: ChannelKind) -> bool | None:
    """Return the consent to a channel; if it is unknown, what the program assumes. A link the shop shows needs none."""
    if not channel.contacts:
        return True
    known: bool | None = getattr(respondent.consent, channel)
    return True if known is None and channel in program.document.assume_consent else known
