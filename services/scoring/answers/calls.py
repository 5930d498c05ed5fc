"""Changes call tasks after operator reports, call requests and withdrawals; each task is closed exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.scoring.answers import publishing
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import (
    CallAttempt,
    CallTask,
    Hours,
    Slot,
    TaskKind,
    after_attempt,
    next_slot,
)
from services.scoring.domain.invitations import InvitationState
from services.scoring.repository import invitations
from services.scoring.repository.calling import calls
from shared.contract import cloudevents
from shared.contract.events import CallAttempted, CallClosed, CallRequested, CallWithdrawn, Payload, RespondentOptedOut
from shared.contract.vocabulary import CallDisposition, CallOutcome, ChannelKind, Service
from shared.database.session import Session
from shared.messaging import outbox
from shared.zones import time_zone

MAX_OVERDUE = 500  # tasks per call of `update_overdue`


class LeaseLost(Exception):
    """The operator has no lease on this call task, or the task is unknown or closed."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """The disposition of a call without a survey answer; `later` is the delay to the next call after `CALL_LATER`.

    `note` is what was said or agreed on, in the operator's words. `was_given` is whether the operator was given the
    number, perhaps long ago: then WRONG_NUMBER and DO_NOT_CALL count also without a lease.
    """

    task_id: UUID
    operator: Operator
    disposition: CallDisposition
    later: timedelta = timedelta(hours=1)
    note: str = ""
    was_given: bool = False

    @property
    def counts_without_lease(self) -> bool:
        return self.was_given and self.disposition in (CallDisposition.WRONG_NUMBER, CallDisposition.DO_NOT_CALL)


async def report_call(session: Session, report: CallReport, *, now: datetime) -> CallTask:
    """Store a call attempt, close or reschedule its task, and return the changed task; raises LeaseLost.

    The same report again, as after a reply that never arrived, changes nothing.
    """
    task = (await calls.lock(session, [report.task_id])).get(report.task_id)
    if task is None:
        raise LeaseLost
    if not task.open or not report.operator.is_(task.held_by):
        if await _is_stored(session, report):
            return task
        if not report.counts_without_lease:
            raise LeaseLost
        if not task.open:
            await _publish_late(session, task, report.disposition, now=now)
            return task
    attempt = CallAttempt(task, report.disposition, report.operator, now, report.note)
    await _conclude(session, [attempt], later=report.later)
    return (await calls.lock(session, [report.task_id]))[report.task_id]


async def _publish_late(session: Session, task: CallTask, disposition: CallDisposition, *, now: datetime) -> None:
    """Publish that a customer must not be called again, though the call has ended.

    Raises LeaseLost for a wrong number, which no event reports of an ended call, and for an erased customer.
    """
    if disposition is not CallDisposition.DO_NOT_CALL or not task.respondent_id:
        raise LeaseLost
    await publishing.publish(session, [_opted_out(task, now)])


async def _is_stored(session: Session, report: CallReport) -> bool:
    stored = await calls.attempts(session, report.task_id)
    said = report.disposition, report.note
    return any(
        (last["disposition"], last["note"]) == said and last["operator_id"] in report.operator.ids
        for last in stored[-1:]
    )


async def close_answered(session: Session, attempts: Sequence[CallAttempt]) -> None:
    """Store the attempts and close their tasks as answered; the caller records the answers."""
    await _conclude(session, attempts, later=timedelta())


async def _conclude(session: Session, attempts: Sequence[CallAttempt], *, later: timedelta) -> None:
    if not attempts:
        return
    await calls.add_attempts(session, attempts)
    await outbox.add(session, [_attempted(each) for each in attempts if each.task.kind is TaskKind.SURVEY])
    rules = await calls.retry_rules(session, attempts)
    next_steps = {
        each.task.task_id: after_attempt(
            each.disposition,
            tries=each.number,
            max_attempts=each.task.max_attempts,
            later=later,
            rule=rules.get(each.task.task_id),
        )
        for each in attempts
    }
    retries = [(each, after) for each in attempts if isinstance(after := next_steps[each.task.task_id], timedelta)]
    await calls.reschedule(session, {each.task.task_id: _slot(each.task, each.at + after) for each, after in retries})
    outcomes = {task_id: after for task_id, after in next_steps.items() if isinstance(after, CallOutcome)}
    await _close(session, {each.task.task_id: each.task for each in attempts}, outcomes, now=attempts[-1].at)


def _slot(task: CallTask, earliest: datetime) -> Slot:
    return next_slot(earliest, hours=task.hours, zone=time_zone(task.time_zone), expires_at=task.expires_at)


async def _close(
    session: Session,
    tasks: Mapping[UUID, CallTask | CallRequested | CallWithdrawn],
    outcomes: Mapping[UUID, CallOutcome],
    *,
    now: datetime,
) -> None:
    """Close those of the tasks that are open, and add their closing events to the outbox."""
    closed = await calls.close(session, dict(outcomes), now=now)
    events = [_closing_event(tasks[each], outcomes[each], now) for each in outcomes if each in closed]
    await publishing.publish(session, [event for event in events if event is not None])


def _closing_event(
    task: CallTask | CallRequested | CallWithdrawn, outcome: CallOutcome, now: datetime
) -> cloudevents.Event[Payload] | None:
    """Return CallClosed for a survey call; for a callback, RespondentOptedOut after `DO_NOT_CALL`, else None."""
    if not isinstance(task, CallTask) or task.kind is TaskKind.SURVEY:
        return _closed(task, outcome, now)
    if outcome is not CallOutcome.DO_NOT_CALL:
        return None
    return _opted_out(task, now)


def _opted_out(task: CallTask, now: datetime) -> cloudevents.Event[Payload]:
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


async def add_requested(session: Session, requested: Sequence[CallRequested], *, now: datetime) -> None:
    """Add call tasks and close those whose invitation has a genuine answer or is no longer open."""
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


async def withdraw_requested(session: Session, withdrawn: Sequence[CallWithdrawn], *, now: datetime) -> None:
    """Close call tasks as withdrawn; a task whose request has not arrived yet is stored as closed."""
    by_task = {call.task_id: call for call in withdrawn}
    await calls.lock(session, by_task)
    added = await calls.add_withdrawn(session, list(by_task.values()), now=now)
    await outbox.add(session, [_closed(by_task[task_id], CallOutcome.WITHDRAWN, now) for task_id in added])
    await _close(session, by_task, dict.fromkeys(by_task.keys() - added, CallOutcome.WITHDRAWN), now=now)
    await calls.wipe_erased(session, [call.invitation_id for call in by_task.values()])


async def erase(session: Session, invitation_ids: Sequence[UUID], *, now: datetime) -> None:
    """Close the call tasks of erased invitations as withdrawn and remove personal data from them."""
    tasks = await calls.lock_open(session, invitation_ids)
    await _close(session, tasks, dict.fromkeys(tasks, CallOutcome.WITHDRAWN), now=now)
    await calls.wipe(session, invitation_ids)


async def update_overdue(session: Session, *, now: datetime) -> int:
    """Close expired tasks, move tasks past their allowed hours to the next slot, and return the number of both."""
    overdue = await calls.lock_overdue(session, now=now, limit=MAX_OVERDUE)
    expired = {task.task_id: task for task in overdue if task.expires_at <= now}
    await _close(session, expired, dict.fromkeys(expired, CallOutcome.EXPIRED), now=now)
    await calls.reschedule(session, {task.task_id: _slot(task, now) for task in overdue if task.task_id not in expired})
    return len(overdue)
