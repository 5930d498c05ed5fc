"""Sorts claimed steps: ready to be sent, postponed, put aside, or finished without being sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from services.dispatcher.domain import caps, hours
from services.dispatcher.domain.caps import EarlierContacts, PastContact
from services.dispatcher.domain.chain import skip_reason
from services.dispatcher.domain.steps import (
    FinishedStep,
    LeasedStep,
    MoveReason,
    SkipReason,
    StepResult,
    StepState,
)
from services.dispatcher.domain.stored_requests import SendFacts
from shared.contract.events import ContactCap, PlanStep, SurveyRequested
from shared.contract.vocabulary import ChannelKind

log = structlog.get_logger()


class ReadyStep(msgspec.Struct, frozen=True):
    """A claimed step that may be sent now."""

    leased: LeasedStep
    request: SurveyRequested
    plan_step: PlanStep
    sent_before: int

    @classmethod
    def of(cls, leased: LeasedStep, request: SurveyRequested, sent_before: int) -> ReadyStep:
        planned = next(step for step in request.plan if step.step == leased.step)
        return cls(leased, request, planned, sent_before)

    def next_opening(self, now: datetime) -> datetime | None:
        """Return when its contact hours allow it: now or later, None for never."""
        step = self.plan_step
        return hours.next_opening(now, zone=self.request.time_zone, window=step.window, calendar=step.holidays)


@dataclass(slots=True)
class TriagedSteps:
    """Claimed steps by what happens to them; postponed ones with their new due time and the reason.

    `next_due_at` is set when there are none: when the first planned step is or was due, None if none is planned.
    """

    ready: list[ReadyStep] = field(default_factory=list)
    postponed: list[tuple[LeasedStep, datetime, str | None]] = field(default_factory=list)
    finished: list[FinishedStep] = field(default_factory=list)
    dropped: list[LeasedStep] = field(default_factory=list)  # of invitations that have ended
    halted: list[tuple[LeasedStep, str]] = field(default_factory=list)  # with their programs, which are stopped
    next_due_at: datetime | None = None

    def __len__(self) -> int:
        others = len(self.postponed) + len(self.finished) + len(self.dropped) + len(self.halted)
        return len(self.ready) + others

    def postpone(self, ready: ReadyStep, until: datetime | None, reason: MoveReason) -> None:
        """Postpone a step; one that would wait past its invitation's end is skipped, so that the next step is due."""
        if until is None or until >= ready.request.expires_at:
            self.finished.append(skipped(ready.leased, reason))
        else:
            self.postponed.append((ready.leased, until, reason))


def triage_steps(
    leased: Sequence[LeasedStep], facts: Mapping[UUID, SendFacts], *, channel: ChannelKind, now: datetime
) -> TriagedSteps:
    """Sort steps by consent, suppression, address and contact hours; a step whose request cannot be read fails.

    Steps without facts are dropped: their invitations have ended.
    """
    triaged = TriagedSteps(dropped=[step for step in leased if step.invitation_id not in facts])
    for step in leased:
        known = facts.get(step.invitation_id)
        if known is None:
            continue
        if known.stopped is not None:
            triaged.halted.append((step, known.stopped))
            continue
        try:
            _place(triaged, step, known, channel=channel, now=now)
        except Exception:
            log.exception("step.not_read", invitation_id=str(step.invitation_id), step=step.step)
            result = StepResult(step, StepState.FAILED, tries=step.tries, account=None, reason="not_read")
            triaged.finished.append(FinishedStep(result))
    return triaged


def _place(triaged: TriagedSteps, step: LeasedStep, facts: SendFacts, *, channel: ChannelKind, now: datetime) -> None:
    request = facts.request()
    ready = ReadyStep.of(step, request, facts.sent_before)
    reason = skip_reason(channel, request.contact, request.consent, suppressed=facts.suppressed)
    opening = ready.next_opening(now)
    if reason is not None:
        triaged.finished.append(skipped(step, reason))
    elif opening != now:
        triaged.postpone(ready, opening, MoveReason.CONTACT_HOURS)
    else:
        triaged.ready.append(ready)


def longest_cap(ready: Sequence[ReadyStep], *, everywhere: Sequence[ContactCap]) -> timedelta | None:
    """Return how far back the contact caps of these steps look; None when no cap applies."""
    return max((caps.span(cap) for each in ready for cap in (*everywhere, *each.request.contact_caps)), default=None)


def apply_caps(
    triaged: TriagedSteps,
    contacts: EarlierContacts,
    *,
    everywhere: Sequence[ContactCap],
    channel: ChannelKind,
    now: datetime,
) -> TriagedSteps:
    """Postpone ready steps that a contact cap of their program, or one of `everywhere`, does not allow now.

    `contacts` holds the earlier contacts of the respondents and addresses that this transaction has locked. The
    others are locked by another sender, which may be about to contact them: their steps are postponed if any cap
    applies.
    """
    capped = TriagedSteps([], [*triaged.postponed], [*triaged.finished], triaged.dropped, triaged.halted)
    for each in triaged.ready:
        invitation = each.leased.invitation_id
        known = contacts.of(invitation)
        until = _next_allowed(known, [*everywhere, *each.request.contact_caps], channel=channel, now=now)
        if until != now:
            capped.postpone(each, until, MoveReason.CONTACT_CAP)
            continue
        capped.ready.append(each)
        contacts.add((*each.leased.key, each.leased.tries + 1), PastContact(channel, now), contacts.named[invitation])
    return capped


def _next_allowed(
    known: Sequence[PastContact] | None, applying: Sequence[ContactCap], *, channel: ChannelKind, now: datetime
) -> datetime | None:
    if not applying:
        return now
    return now + caps.RETRY_AFTER if known is None else caps.next_allowed(known, applying, channel, now=now)


def skipped(leased: LeasedStep, reason: SkipReason | MoveReason) -> FinishedStep:
    return FinishedStep(StepResult(leased, StepState.SKIPPED, tries=leased.tries, account=None, reason=reason))
