"""The call desk's commands: what an operator says of a try, and how every task ends exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.scoring.domain.calls import (
    CALLBACK_FOR,
    CallAttempt,
    Callback,
    CallbackRequest,
    CallTask,
    Hours,
    Slot,
    TaskKind,
    after_try,
    next_slot,
)
from services.scoring.domain.invitations import Answer, Invitation, InvitationState
from services.scoring.repository import callbacks, calls, invitations
from shared.contract import cloudevents
from shared.contract.events import CallAttempted, CallClosed, CallRequested, CallWithdrawn, Payload, RespondentOptedOut
from shared.contract.vocabulary import CallDisposition, CallOutcome, ChannelKind, Service
from shared.messaging import outbox
from shared.zones import time_zone

TICK = 500


class LeaseLost(Exception):
    """The operator does not hold this task, or it was closed meanwhile: take another."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """What an operator says of a try that gave no answer; `later` is the delay of a call to be made later."""

    task_id: UUID
    operator: str
    disposition: CallDisposition
    later: timedelta = timedelta(hours=1)


async def report(session: AsyncSession, said: CallReport, *, now: datetime) -> CallTask:
    """Note how a try ended; returns the task as it is then. Raises LeaseLost."""
    task = (await calls.lock(session, [said.task_id])).get(said.task_id)
    if task is None or not task.open or task.held_by != said.operator:
        raise LeaseLost
    await _conclude(session, [CallAttempt(task, said.disposition, said.operator, now)], later=said.later)
    return (await calls.lock(session, [said.task_id]))[said.task_id]


async def finish(session: AsyncSession, tries: Sequence[CallAttempt]) -> None:
    """End tasks whose call gave an answer; the answer is recorded beside it."""
    await _conclude(session, tries, later=timedelta())


async def _conclude(session: AsyncSession, tries: Sequence[CallAttempt], *, later: timedelta) -> None:
    if not tries:
        return
    await calls.add_attempts(session, tries)
    await outbox.add(session, [_attempted(each) for each in tries if each.task.kind is TaskKind.SURVEY])
    follows = {
        each.task.task_id: after_try(
            each.disposition, tries=each.number, max_attempts=each.task.max_attempts, later=later
        )
        for each in tries
    }
    again = [(each, after) for each in tries if isinstance(after := follows[each.task.task_id], timedelta)]
    await calls.reschedule(session, {each.task.task_id: _slot(each.task, each.at + after) for each, after in again})
    ends = {task_id: after for task_id, after in follows.items() if isinstance(after, CallOutcome)}
    await _close(session, {each.task.task_id: each.task for each in tries}, ends, now=tries[-1].at)


def _slot(task: CallTask, earliest: datetime) -> Slot:
    return next_slot(earliest, hours=task.hours, zone=time_zone(task.time_zone), expires_at=task.expires_at)


async def _close(
    session: AsyncSession,
    tasks: Mapping[UUID, CallTask | CallRequested | CallWithdrawn],
    outcomes: Mapping[UUID, CallOutcome],
    *,
    now: datetime,
) -> None:
    """Close those still open, and tell of each that this closed."""
    closed = await calls.close(session, dict(outcomes))
    told = [_told(tasks[each], outcomes[each], now) for each in outcomes if each in closed]
    await outbox.add(session, [event for event in told if event is not None])


def _told(
    task: CallTask | CallRequested | CallWithdrawn, outcome: CallOutcome, now: datetime
) -> cloudevents.Event[Payload] | None:
    """Tell dispatcher of its own calls; of those people asked us for, only that they want no more."""
    if not isinstance(task, CallTask) or task.kind is TaskKind.SURVEY:
        return _closed(task, outcome, now)
    if outcome is not CallOutcome.DO_NOT_CALL:
        return None
    payload = RespondentOptedOut(
        respondent_id=task.respondent_id, invitation_id=task.invitation_id, channel=ChannelKind.CALL, at=now
    )
    return cloudevents.new(payload, service=Service.SCORING, at=now)


def _attempted(each: CallAttempt) -> cloudevents.Event[Payload]:
    payload = CallAttempted(
        respondent_id=each.task.respondent_id,
        invitation_id=each.task.invitation_id,
        task_id=each.task.task_id,
        attempt=each.number,
        disposition=each.disposition,
        at=each.at,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=each.at)


def _closed(
    task: CallTask | CallRequested | CallWithdrawn, outcome: CallOutcome, now: datetime
) -> cloudevents.Event[Payload]:
    payload = CallClosed(
        respondent_id=task.respondent_id,
        invitation_id=task.invitation_id,
        task_id=task.task_id,
        outcome=outcome,
        at=now,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=now)


@dataclass(frozen=True, slots=True)
class CallbackChange:
    """Whether a call back was wanted before an entry and is after it; `callback` is what it says of number and time."""

    invitation: Invitation
    before: bool
    after: bool
    callback: Callback | None
    at: datetime


def callback_change(
    invitation: Invitation, after: Answer, callback: Callback | None, *, at: datetime
) -> CallbackChange:
    """Compare the answer before an entry with the one after it; a suspect answer asks for no call."""
    before = invitation.genuine_answer is not None and invitation.genuine_answer.callback_wanted
    return CallbackChange(invitation, before, after.counts and after.callback_wanted, callback, at)


async def follow(session: AsyncSession, changes: Sequence[CallbackChange]) -> None:
    """Put on the desk who newly wants to be called back, change what changed, take off who does not any more."""
    first = {each.invitation.id: each.before for each in reversed(changes)}
    last = {each.invitation.id: each for each in changes}
    await callbacks.unwant(session, [invitation_id for invitation_id, each in last.items() if not each.after])
    wanted = [
        _request(each, newly=not first[invitation_id])
        for invitation_id, each in last.items()
        if each.after and (each.callback or not first[invitation_id])
    ]
    await callbacks.want(session, wanted)


def _request(change: CallbackChange, *, newly: bool) -> CallbackRequest:
    callback = change.callback or Callback(wanted=True)
    ends = change.at + CALLBACK_FOR
    hours = callback.best_time.hours
    slot = next_slot(change.at, hours=hours, zone=time_zone(change.invitation.time_zone), expires_at=ends)
    return CallbackRequest(uuid7(), change.invitation, callback.phone, hours, slot, ends, newly)


async def request(session: AsyncSession, requested: Sequence[CallRequested], *, now: datetime) -> None:
    """Put tasks on the desk; one that has nothing left to ask is closed at once."""
    new = {call.task_id: call for call in requested}
    added = await calls.add(session, [(call, _first_slot(call, now)) for call in new.values()])
    asked = await invitations.lock_and_load(session, [call.invitation_id for call in new.values()])
    ends = {
        call.task_id: CallOutcome.ANSWERED if invitation.genuine_answer else CallOutcome.WITHDRAWN
        for call in new.values()
        if call.task_id in added
        and (invitation := asked.get(call.invitation_id))
        and (invitation.genuine_answer or invitation.state is not InvitationState.OPEN)
    }
    await _close(session, new, ends, now=now)
    await calls.wipe_erased(session, list(asked))


def _first_slot(call: CallRequested, now: datetime) -> Slot:
    hours = Hours(call.window.start, call.window.end) if call.window else None
    return next_slot(now, hours=hours, zone=time_zone(call.time_zone), expires_at=call.expires_at)


async def withdraw(session: AsyncSession, withdrawn: Sequence[CallWithdrawn], *, now: datetime) -> None:
    """Take tasks off the desk, also those whose request comes later."""
    by_task = {call.task_id: call for call in withdrawn}
    await calls.lock(session, by_task)
    marked = await calls.add_withdrawn(session, list(by_task.values()), now=now)
    await outbox.add(session, [_closed(by_task[task_id], CallOutcome.WITHDRAWN, now) for task_id in marked])
    await _close(session, by_task, dict.fromkeys(by_task.keys() - marked, CallOutcome.WITHDRAWN), now=now)
    await calls.wipe_erased(session, [call.invitation_id for call in by_task.values()])


async def forget(session: AsyncSession, invitation_ids: Sequence[UUID], *, now: datetime) -> None:
    """Take the tasks of erased respondents off the desk and wipe them."""
    tasks = await calls.lock_open(session, invitation_ids)
    await _close(session, tasks, dict.fromkeys(tasks, CallOutcome.WITHDRAWN), now=now)
    await calls.wipe(session, invitation_ids)


async def tick(session: AsyncSession, *, now: datetime) -> int:
    """Close what has expired and move to the next allowed hours what was not called in its own; returns how many."""
    overdue = await calls.lock_overdue(session, now=now, limit=TICK)
    expired = {task.task_id: task for task in overdue if task.expires_at <= now}
    await _close(session, expired, dict.fromkeys(expired, CallOutcome.EXPIRED), now=now)
    await calls.reschedule(session, {task.task_id: _slot(task, now) for task in overdue if task.task_id not in expired})
    return len(overdue)
