"""Record what respondents and operators say: answer, versions, buckets, outbox, and the call it came by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.scoring import calls
from services.scoring.domain.answers import Answer, Entry, Invitation, Key, Refusal, answer_keys, answered, invited_keys
from services.scoring.domain.score import Tally
from services.scoring.repository import answers, buckets, invitations
from services.scoring.repository.answers import Version
from services.scoring.repository.calls import Task, Try, lock
from shared import cloudevents, outbox
from shared.events import AnswerAmended, Payload, ProgramRef, RespondentOptedOut, SurveyAnswered
from shared.vocabulary import CallDisposition, Service, category_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer as it stands now; `new` when this entry changed it."""

    answer: Answer
    new: bool


async def record(session: AsyncSession, entries: Sequence[Entry]) -> list[Recorded | Refusal]:
    """Apply entries in order, one statement per table; returns what became of each, in the same order."""
    known = await invitations.held(session, [entry.invitation_id for entry in entries])
    tasks = await lock(session, [entry.task_id for entry in entries if entry.task_id])
    versions: list[Version] = []
    tries: list[Try] = []
    results = [_apply(entry, known, tasks, versions, tries) for entry in entries]
    await answers.keep(session, versions)
    await _count(session, [version for version in versions if version.invitation.counted])
    await outbox.add(session, [_event(version) for version in versions])
    await calls.finish(session, tries)
    return results


def _apply(
    entry: Entry,
    known: dict[UUID, Invitation],
    tasks: dict[UUID, Task],
    versions: list[Version],
    tries: list[Try],
) -> Recorded | Refusal:
    task = tasks.get(entry.task_id) if entry.task_id else None
    if entry.task_id and (task is None or task.held_by != entry.operator or task.invitation_id != entry.invitation_id):
        return Refusal.LEASE_LOST
    invitation = known.get(entry.invitation_id)
    if invitation is None:
        return Refusal.UNKNOWN
    after = answered(invitation, entry, new_id=uuid7())
    if isinstance(after, Refusal):
        return after
    if task is not None and entry.operator is not None:
        tries.append(Try(task, CallDisposition.ANSWERED, entry.operator, entry.at))
        tasks[task.task_id] = replace(task, held_by=None)
    if after is invitation.answer:
        return Recorded(after, new=False)
    versions.append(Version(invitation, entry, invitation.answer, after))
    known[invitation.id] = replace(invitation, answer=after)
    return Recorded(after, new=True)


async def _count(session: AsyncSession, versions: Sequence[Version]) -> None:
    changes: defaultdict[Key, Tally] = defaultdict(Tally)
    for version in versions:
        for key, tally in _changes(version):
            changes[key] += tally
    await buckets.add(session, changes)
    first = [version.invitation for version in versions if version.before is None]
    await buckets.add_invited(session, invited=Counter(), answered=invited_series(first))


def _changes(version: Version) -> Iterator[tuple[Key, Tally]]:
    about = version.invitation.program, version.invitation.segments, version.after.first_day
    if version.before:
        for key in answer_keys(*about, version.before.mode):
            yield key, -version.before.tally
    for key in answer_keys(*about, version.after.mode):
        yield key, version.after.tally


def invited_series(asked: Sequence[Invitation]) -> Counter[Key]:
    """Count invitations in every series they belong to."""
    return Counter(key for each in asked for key in invited_keys(each.program, each.segments, each.invited_day))


def _event(version: Version) -> cloudevents.Event[Payload]:
    invitation, answer = version.invitation, version.after
    payload = (SurveyAnswered if answer.version == 1 else AnswerAmended)(
        respondent_id=invitation.respondent_id,
        invitation_id=invitation.id,
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
    )
    return cloudevents.new(payload, service=Service.SCORING, at=answer.answered_at)


async def opt_out(session: AsyncSession, invitation: Invitation, *, now: datetime) -> None:
    """Tell everybody, once, that this respondent is not to be asked again."""
    await invitations.lock(session, [invitation.id])
    if await invitations.opt_out(session, invitation.id, now=now):
        payload = RespondentOptedOut(respondent_id=invitation.respondent_id, invitation_id=invitation.id, at=now)
        await outbox.add(session, [cloudevents.new(payload, service=Service.SCORING, at=now)])
