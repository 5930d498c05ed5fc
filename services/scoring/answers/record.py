"""Records answers: their versions, counters, events and callbacks, and the call attempts of operators' answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from services.scoring.answers import callbacks, calls, publishing, quote_consents
from services.scoring.domain.alerts import is_reported
from services.scoring.domain.answer_form import Submission, read_form
from services.scoring.domain.answers import AnswerVersion, Entry, Refusal, amended, suspicion
from services.scoring.domain.bot_detection import DEFAULT_WINDOWS, ScannerWindows, Suspicion
from services.scoring.domain.calls import CallAttempt, CallTask
from services.scoring.domain.dimensions import BucketKey, answer_keys, invited_keys
from services.scoring.domain.invitations import Answer, Invitation
from services.scoring.domain.score import Tally
from services.scoring.repository import answers, invitations, links
from services.scoring.repository.calling.calls import lock
from services.scoring.repository.scores import buckets
from shared.contract import cloudevents
from shared.contract.events import (
    AnswerAmended,
    AnsweredEvent,
    DetractorReported,
    InvitationAnswered,
    Payload,
    ProgramRef,
    RespondentOptedOut,
    SurveyAnswered,
)
from shared.contract.vocabulary import CallDisposition, Service, category_of
from shared.database import db
from shared.database.session import Session


class Recorded(msgspec.Struct, frozen=True):
    """The answer after an entry; `new` is whether the entry changed it, `suspected` why the entry looks automatic."""

    answer: Answer
    new: bool
    suspected: Suspicion | None = None


class SubmissionResult(msgspec.Struct, frozen=True):
    """The result of a submitted form; when the form is invalid, `entry` is None and `result` is `NO_SCORE`."""

    invitation: Invitation
    entry: Entry | None
    result: Recorded | Refusal


@dataclass(frozen=True, slots=True)
class _Batch:
    """Locked invitations and tasks, the answers after the entries applied so far, and the rows to store."""

    known: dict[UUID, Invitation]
    tasks: dict[UUID, CallTask]
    earlier: defaultdict[UUID, list[Answer]]
    current: dict[UUID, Answer] = field(default_factory=dict)
    versions: list[AnswerVersion] = field(default_factory=list)
    attempts: list[CallAttempt] = field(default_factory=list)
    callback_changes: list[callbacks.CallbackChange] = field(default_factory=list)
    held_callbacks: list[callbacks.CallbackChange] = field(default_factory=list)


async def record(session: Session, entries: Sequence[Entry]) -> list[Recorded | Refusal]:
    """Apply entries in order; return one result per entry, in the same order."""
    known = await invitations.lock_and_load(session, [entry.invitation_id for entry in entries])
    return await _record(session, entries, known)


async def submit(
    session: Session, submissions: Sequence[Submission], *, windows: ScannerWindows = DEFAULT_WINDOWS
) -> list[SubmissionResult | None]:
    """Parse and apply forms in order; return one result per form, in the same order, None for an unknown link."""
    found = await links.resolve_and_lock(session, submissions, windows=windows)
    entries = [
        read_form(each, link, windows=windows) if link else None for each, link in zip(submissions, found, strict=True)
    ]
    known = {link.invitation.id: link.invitation for link in found if link}
    results = iter(await _record(session, [entry for entry in entries if entry], known))
    return [
        SubmissionResult(link.invitation, entry, next(results) if entry else Refusal.NO_SCORE) if link else None
        for link, entry in zip(found, entries, strict=True)
    ]


async def _record(
    session: Session, entries: Sequence[Entry], known: dict[UUID, Invitation]
) -> list[Recorded | Refusal]:
    """Apply entries to locked invitations, with one statement per table."""
    tasks = await lock(session, [entry.task_id for entry in entries if entry.task_id])
    batch = _Batch(known, tasks, await answers.versions(session, _answers_from_pages(entries, known)))
    results = [_apply(entry, batch) for entry in entries]
    await callbacks.apply(session, batch.callback_changes)
    await callbacks.hold(session, batch.held_callbacks)
    await db.write(
        session,
        answers.add_statement(batch.versions),
        _counters_statement([version for version in batch.versions if version.invitation.counted]),
        *publishing.publish_statements(
            [_event(version) for version in batch.versions]
            + _anonymous(batch.versions)
            + _alerts(batch.versions)
            + await quote_consents.of_versions(session, batch.versions)
        ),
    )
    await calls.close_answered(session, batch.attempts)
    return results


def _answers_from_pages(entries: Sequence[Entry], known: Mapping[UUID, Invitation]) -> dict[UUID, Answer]:
    """Return the stored answers of invitations with an entry from the answer page, by invitation id."""
    about = {entry.invitation_id for entry in entries if entry.signals is not None} & known.keys()
    return {each: answer for each in about if (answer := known[each].answer) is not None}


def _apply(entry: Entry, batch: _Batch) -> Recorded | Refusal:
    task = batch.tasks.get(entry.task_id) if entry.task_id else None
    if entry.task_id and (task is None or not _is_by_who_took(entry, task)):
        return Refusal.LEASE_LOST
    invitation = batch.known.get(entry.invitation_id)
    if invitation is None:
        return Refusal.UNKNOWN
    if (answer := batch.current.get(invitation.id)) is not None:
        invitation = replace(invitation, answer=answer)
    earlier = batch.earlier[invitation.id]
    suspected = suspicion(entry, earlier)
    after = amended(invitation, entry, new_id=uuid7(), suspected=suspected, earlier=earlier)
    if isinstance(after, Refusal):
        return after
    if task is not None and entry.operator is not None and task.answered_by is None:
        batch.attempts.append(CallAttempt(task, CallDisposition.ANSWERED, entry.operator, entry.at))
        batch.tasks[task.task_id] = replace(task, held_by=None, answered_by=entry.operator)
    change = callbacks.callback_change(invitation, after, None if suspected else entry.callback, at=entry.at)
    if change.before or change.after:
        batch.callback_changes.append(change)
    elif suspected and entry.callback and entry.callback.wanted:
        batch.held_callbacks.append(callbacks.callback_change(invitation, after, entry.callback, at=entry.at))
    if after is invitation.answer:
        return Recorded(after, new=False, suspected=suspected)
    batch.versions.append(AnswerVersion(invitation, entry, invitation.answer, after, suspected))
    batch.current[invitation.id] = after
    earlier.append(after)
    return Recorded(after, new=True, suspected=suspected)


def _is_by_who_took(entry: Entry, task: CallTask) -> bool:
    """Return whether the operator holds the call, or took its answer and corrects it."""
    by = entry.operator
    is_theirs = by is not None and (by.is_(task.held_by) or by.is_(task.answered_by))
    return is_theirs and task.invitation_id == entry.invitation_id


def _counters_statement(versions: Sequence[AnswerVersion]) -> db.Write | None:
    alike: defaultdict[Hashable, list[AnswerVersion]] = defaultdict(list)
    for version in versions:
        alike[_counted_by(version)].append(version)
    times: defaultdict[Tally, Counter[BucketKey]] = defaultdict(Counter)
    answered: Counter[BucketKey] = Counter()
    for first, *others in alike.values():
        count, invitation, before, after = 1 + len(others), first.invitation, first.before, first.after
        if before:
            _add(times[-before.tally], _keys(invitation, before), count)
        _add(times[after.tally], _keys(invitation, after), count)
        gained = after.counts - (before is not None and before.counts)  # -1 when the answer no longer counts
        if gained:
            _add(
                answered,
                invited_keys(invitation.program, invitation.dimensions, invitation.invited_day),
                gained * count,
            )
    changes: defaultdict[BucketKey, Tally] = defaultdict(Tally)
    for tally, counted in times.items():
        for key, count in counted.items():
            changes[key] += tally * count
    return buckets.add_statement(changes, answered=answered)


def _counted_by(version: AnswerVersion) -> Hashable:
    """Return a key that is equal for versions with the same counter changes, so that each change is computed once."""
    invitation = version.invitation
    series = invitation.program, invitation.invited_day, tuple(invitation.dimensions.items())
    return series, _countable(version.before), _countable(version.after)


def _countable(answer: Answer | None) -> Hashable:
    return answer and (
        answer.first_day,
        answer.score,
        answer.suspect,
        answer.mode,
        answer.step,
        answer.device,
        answer.reasons,
    )


def _add(to: Counter[BucketKey], keys: Sequence[BucketKey], count: int) -> None:
    for key in keys:
        to[key] += count


def _keys(invitation: Invitation, answer: Answer) -> list[BucketKey]:
    return answer_keys(invitation.program, invitation.dimensions, answer)


def answered_series(answered: Sequence[Invitation]) -> Iterator[tuple[BucketKey, Tally]]:
    """Yield the counter keys of each invitation's answer, each with the tally that the answer adds."""
    for invitation in answered:
        if invitation.answer is not None:
            for key in _keys(invitation, invitation.answer):
                yield key, invitation.answer.tally


def invited_series(invited: Sequence[Invitation]) -> Counter[BucketKey]:
    """Return the number of invitations for each counter key."""
    return Counter(key for each in invited for key in invited_keys(each.program, each.dimensions, each.invited_day))


def _event(version: AnswerVersion) -> cloudevents.Event[Payload]:
    invitation, answer = version.invitation, version.after
    about = invitation.occasion
    payload = (SurveyAnswered if answer.version == 1 else AnswerAmended)(
        respondent_id=invitation.respondent_id,
        invitation_id=_shown_id(version),
        customer_id=invitation.customer_id,
        answer_id=answer.answer_id,
        version=answer.version,
        program=ProgramRef(id=invitation.program, version=invitation.program_version, title=invitation.program_title),
        score=answer.score,
        category=category_of(answer.score),
        reasons=list(answer.reasons),
        comment=answer.comment,
        segments=dict(invitation.segments),
        mode=answer.mode,
        step=answer.step,
        suspect=answer.suspect,
        answered_at=answer.answered_at,
        event=None if invitation.anonymous else AnsweredEvent(source=about.source, id=about.id, subject=about.subject),
        anonymous=invitation.anonymous,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=answer.answered_at)


def _shown_id(version: AnswerVersion) -> UUID:
    """Return the id of the invitation in events; the one of an anonymous answer would lead to its respondent."""
    return version.after.answer_id if version.invitation.anonymous else version.invitation.id


def _anonymous(versions: Sequence[AnswerVersion]) -> list[cloudevents.Event[Payload]]:
    """Return an InvitationAnswered event for each anonymous answer that begins to count."""
    return [
        cloudevents.new(
            InvitationAnswered(respondent_id=asked, invitation_id=each.invitation.id),
            service=Service.SCORING,
            at=each.after.answered_at,
        )
        for each in versions
        if (asked := each.invitation.asked_id) and each.after.counts and not (each.before and each.before.counts)
    ]


def _alerts(versions: Sequence[AnswerVersion]) -> list[cloudevents.Event[Payload]]:
    """Return DetractorReported events of counted invitations, without versions that a suspect entry caused."""
    candidates = [each for each in versions if each.invitation.counted and each.suspicion is None]
    return [_alert(each) for each in candidates if is_reported(each.before, each.after)]


def _alert(version: AnswerVersion) -> cloudevents.Event[Payload]:
    invitation, answer = version.invitation, version.after
    payload = DetractorReported(
        program=invitation.program,
        invitation_id=_shown_id(version),
        answer_id=answer.answer_id,
        score=answer.score,
        reasons=list(answer.reasons),
        segments=dict(invitation.segments),
        callback_wanted=answer.callback_wanted,
        at=answer.answered_at,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=answer.answered_at)


async def opt_out(session: Session, invitation: Invitation, *, now: datetime) -> None:
    """Store the opt-out of an invitation and add RespondentOptedOut to the outbox; a repeated call changes nothing."""
    await invitations.lock(session, [invitation.id])
    if await invitations.opt_out(session, invitation.id, now=now):
        respondent = invitation.asked_id or invitation.respondent_id
        payload = RespondentOptedOut(respondent_id=respondent, invitation_id=invitation.id, at=now)
        await publishing.publish(session, [cloudevents.new(payload, service=Service.SCORING, at=now)])
