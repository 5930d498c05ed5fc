"""What becomes of claimed steps: out now, at another time, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from services.dispatcher.domain import caps, hours
from services.dispatcher.domain.caps import PastContact
from services.dispatcher.domain.chain import skip_reason
from services.dispatcher.domain.steps import (
    FinishedStep,
    LeasedStep,
    MoveReason,
    SendFacts,
    SkipReason,
    StepResult,
    StepState,
)
from shared.contract.events import ContactCap, PlanStep, SurveyRequested
from shared.contract.vocabulary import ChannelKind

log = structlog.get_logger()


class ReadyStep(msgspec.Struct, frozen=True):
    """A claimed step that may go out now."""

    held: LeasedStep
    request: SurveyRequested
    sent_before: int

    @property
    def planned(self) -> PlanStep:
        return next(step for step in self.request.plan if step.step == self.held.step)

    def opening(self, now: datetime) -> datetime | None:
        """When its hours let it out: now or later, None for never."""
        planned = self.planned
        return hours.next_opening(now, zone=self.request.time_zone, window=planned.window, calendar=planned.holidays)


@dataclass(slots=True)
class TriagedSteps:
    """Claimed steps by what becomes of them."""

    ready: list[ReadyStep]
    moved: list[tuple[LeasedStep, datetime, str | None]]
    done: list[FinishedStep]

    def put_off(self, ready: ReadyStep, until: datetime | None, reason: MoveReason) -> None:
        """Move a step; one that would wait past its invitation's end is skipped, so that the next has its turn."""
        if until is None or until >= ready.request.expires_at:
            self.done.append(skipped(ready.held, reason))
        else:
            self.moved.append((ready.held, until, reason))


def sort_claimed(
    held: Sequence[LeasedStep], facts: Mapping[UUID, SendFacts], *, channel: ChannelKind, now: datetime
) -> TriagedSteps:
    found = TriagedSteps([], [], [])
    for step in held:
        if step.invitation_id not in facts:
            continue  # past its end: it stays leased until the expiry, a moment later, stops it
        try:
            _place(found, step, facts[step.invitation_id], channel=channel, now=now)
        except Exception:
            log.exception("step.not_read", invitation_id=str(step.invitation_id), step=step.step)
            found.done.append(
                FinishedStep(StepResult(step, StepState.FAILED, tries=step.tries, account=None, reason="not_read"))
            )
    return found


def _place(found: TriagedSteps, step: LeasedStep, facts: SendFacts, *, channel: ChannelKind, now: datetime) -> None:
    request = SurveyRequested.model_validate_json(facts.request)
    ready = ReadyStep(step, request, facts.sent_before)
    reason = skip_reason(channel, request.contact, request.consent, suppressed=facts.suppressed)
    opening = ready.opening(now)
    if reason is not None:
        found.done.append(skipped(step, reason))
    elif opening != now:
        found.put_off(ready, opening, MoveReason.CONTACT_HOURS)
    else:
        found.ready.append(ready)


def hold_to_caps(
    found: TriagedSteps,
    contacts: Mapping[str, Sequence[PastContact]],
    *,
    everywhere: Sequence[ContactCap],
    channel: ChannelKind,
    now: datetime,
) -> None:
    """Put off what the caps of its program, or those that hold everywhere, do not let out.

    `contacts` holds the past of the respondents we have to ourselves; somebody else is about to contact the others.
    """
    ready, found.ready = found.ready, []
    past = {respondent: list(known) for respondent, known in contacts.items()}
    for each in ready:
        known = past.get(each.request.respondent_id)
        until = _allowed(known, [*everywhere, *each.request.contact_caps], channel=channel, now=now)
        if until != now:
            found.put_off(each, until, MoveReason.CONTACT_CAP)
            continue
        found.ready.append(each)
        if known is not None:
            known.append(PastContact(channel, now))


def _allowed(
    known: Sequence[PastContact] | None, binding: Sequence[ContactCap], *, channel: ChannelKind, now: datetime
) -> datetime | None:
    if not binding:
        return now
    return now + caps.LOOK_AGAIN if known is None else caps.next_allowed(known, binding, channel, now=now)


def skipped(held: LeasedStep, reason: SkipReason | MoveReason) -> FinishedStep:
    return FinishedStep(StepResult(held, StepState.SKIPPED, tries=held.tries, account=None, reason=reason))
