"""What a decision is made from and of: facts, one event tried for one program, reasons, and the trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from services.trigger.domain.deciding.suppressions import Suppression
from services.trigger.domain.programs.conditions import EventFields, Fields
from services.trigger.domain.programs.program import Program
from services.trigger.domain.programs.quotas import Quota, QuotaKey, local_day
from services.trigger.domain.programs.segments import segments_of
from services.trigger.domain.programs.timing import goes_out_at, not_ahead
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import Happening, Touchpoint, TriggerPayload, is_completion, with_details
from shared.contract.vocabulary import ChannelKind


class Reason(StrEnum):
    """Why somebody was asked or not, in the order the rules are tried."""

    NO_PROGRAM = "no_program"
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


class Facts(msgspec.Struct, frozen=True):
    """What is known when an event is decided.

    `unusable` names the customer's fields that could not be read, `groups` the group of each program that has one,
    `used` how much of each quota is gone.
    """

    respondent: Respondent
    touchpoint: Touchpoint | None
    suppressions: Sequence[Suppression] = ()
    unusable: Sequence[str] = ()
    groups: Mapping[str, str] = msgspec.field(default_factory=dict)
    used: Mapping[QuotaKey, int] = msgspec.field(default_factory=dict)


TrialFacts = Mapping[str, Any]


class Trial(msgspec.Struct, frozen=True):
    """One program: the rule that stopped it, and the facts that rule used; never an address or a name."""

    reason: Reason
    facts: TrialFacts
    program: Program | None = None
    missing: Sequence[str] = ()


class Decision(msgspec.Struct, frozen=True):
    """`case` and `send_at` are those of the program that asks."""

    reason: Reason
    trail: Sequence[Trial] = ()
    program: Program | None = None
    case: Case | None = None
    send_at: datetime | None = None


T = TypeVar("T")


class _kept(Generic[T]):  # noqa: N801 - used as `property` is
    """Find out once: `functools.cached_property` takes a lock as well, until Python 3.12."""

    def __init__(self, find: Callable[[Any], T]) -> None:
        self._find, self._name = find, find.__name__

    def __get__(self, case: Case, _owner: type[Case]) -> T:
        found = case.__dict__[self._name] = self._find(case)
        return found


class Case(msgspec.Struct, frozen=True, dict=True):
    """One event tried for one program."""

    event: Happening
    program: Program
    facts: Facts
    now: datetime

    @_kept
    def payload(self) -> TriggerPayload:
        return with_details(self.event.payload, self.facts.touchpoint)

    @_kept
    def started_at(self) -> datetime:
        """What age and delay count from: the event's own time, or that of the delivery."""
        delivered = self.facts.touchpoint.delivered_at if self.facts.touchpoint else None
        if delivered is not None and self.waits_for_delivery and is_completion(self.event.payload):
            return not_ahead(delivered, self.now)
        return not_ahead(self.event.time, self.now)

    @property
    def ahead_s(self) -> int:
        """How far the event's own time is in the future; it counts as now then."""
        return int((self.event.time - self.now).total_seconds())

    @property
    def waits_for_delivery(self) -> bool:
        return self.program.waits_for_delivery(self.event.payload)

    @property
    def zone(self) -> str:
        return self.facts.respondent.time_zone or self.program.document.time_zone

    @_kept
    def fields(self) -> Fields:
        return EventFields(self.payload, self.event.source, self.facts.respondent, self.now)

    @_kept
    def missing(self) -> list[str]:
        return sorted([name for name in self.program.wanted if self.fields.get(name) is None])

    @_kept
    def segments(self) -> dict[str, str]:
        return segments_of(self.program.document.segments, self.fields)

    @_kept
    def reachable(self) -> list[ChannelKind]:
        respondent = self.facts.respondent
        return [channel for channel in self.program.channels if respondent.address(channel)]

    @_kept
    def consented(self) -> list[ChannelKind]:
        return [channel for channel in self.reachable if consent_to(self.program, self.facts.respondent, channel)]

    @_kept
    def planned_at(self) -> datetime:
        """When it would go out if no cap delayed it."""
        return self.sent_from(self.started_at + self.program.document.delay)

    def sent_from(self, moment: datetime) -> datetime:
        """Find the next moment this program sends at."""
        return goes_out_at(moment, at=self.program.document.at, zone=self.zone, now=self.now)

    def quota_key(self, quota: Quota) -> QuotaKey:
        value = self.segments.get(quota.by, "") if quota.by else ""
        return QuotaKey(self.program.id, quota.name, value, local_day(self.now, self.program.document.time_zone))


def consent_to(program: Program, respondent: Respondent, channel: ChannelKind) -> bool | None:
    """Read a channel's consent; where nothing is known, the program may assume it."""
    known: bool | None = getattr(respondent.consent, channel)
    return True if known is None and channel in program.document.assume_consent else known
