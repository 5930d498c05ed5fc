"""Answers: each invitation has one current answer, from any channel; every change makes a new version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from services.scoring.domain.bot_detection import SCORE_RUN_WINDOW, BotSignals, Device, Suspicion
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import Callback
from services.scoring.domain.invitations import Answer, Content, Invitation, InvitationState
from shared.contract.vocabulary import AnswerMode, ChannelKind
from shared.zones import local_day


class Entry(Struct, frozen=True):
    """A new or changed answer as it was entered; None keeps the value of the version before.

    Entries of the answer page have `signals`, those of a call `task_id` and `operator`. An entry with `confirms` only
    marks a suspect answer as genuine, one with `doubts` this version as suspect, if it is still the current one.
    """

    invitation_id: UUID
    at: datetime
    score: int | None = None
    reasons: tuple[str, ...] | None = None
    comment: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    device: Device | None = None
    task_id: UUID | None = None
    operator: Operator | None = None
    signals: BotSignals | None = None
    callback: Callback | None = None
    confirms: bool = False
    doubts: int = 0

    @property
    def mode(self) -> AnswerMode:
        return AnswerMode.SELF if self.operator is None else AnswerMode.OPERATOR


class AnswerVersion(Struct, frozen=True):
    """A new version of an answer, with the entry that made it and the version it replaces."""

    invitation: Invitation
    entry: Entry
    before: Answer | None
    after: Answer
    suspicion: Suspicion | None = None


class Refusal(StrEnum):
    """Why an entry was not recorded."""

    UNKNOWN = "unknown"  # no such invitation
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"  # the invitation has expired
    NO_SCORE = "no_score"  # neither the entry nor the answer before has one
    NO_NUMBER = "no_number"  # a callback was requested without a number that can be called
    LEASE_LOST = "lease_lost"  # the operator no longer leases the call task


def suspicion(entry: Entry, earlier: Sequence[Answer]) -> Suspicion | None:
    """Return why this entry looks automatic, given earlier versions of the answer; None when it does not."""
    if entry.signals is None:
        return None
    scores = [each.score for each in earlier if each.answered_at > entry.at - SCORE_RUN_WINDOW]
    return entry.signals.suspicion(scores if entry.score is None else [*scores, entry.score])


def amended(
    invitation: Invitation,
    entry: Entry,
    *,
    new_id: UUID,
    suspected: Suspicion | None = None,
    earlier: Sequence[Answer] = (),
) -> Answer | Refusal:
    """Return the answer after this entry, the current object when the entry changes nothing, or why it is refused.

    A suspect entry never replaces a genuine answer. When the last of several entries shows that a bot sent them all,
    the genuine answer before them is restored.
    """
    if invitation.state is not InvitationState.OPEN:
        return Refusal.WITHDRAWN
    if entry.confirms or entry.doubts:
        return _judged(invitation, entry)
    if entry.at >= invitation.expires_at:
        return Refusal.CLOSED
    if suspected is None:
        return _next_version(invitation, entry, new_id=new_id)
    genuine = _last_genuine(invitation, entry, suspected, earlier)
    if genuine is None:
        return _next_version(invitation, entry, new_id=new_id, suspect=True)
    return _restored(invitation, genuine, at=entry.at)


def _judged(invitation: Invitation, entry: Entry) -> Answer | Refusal:
    """Return the answer after somebody said that a person sent it, or took that back."""
    before = invitation.answer
    if before is None:
        return Refusal.NO_SCORE
    changes = before.version == entry.doubts if entry.doubts else before.suspect
    if not changes:
        return before
    return replace(before, version=before.version + 1, suspect=bool(entry.doubts), answered_at=entry.at)


def _last_genuine(
    invitation: Invitation, entry: Entry, suspected: Suspicion, earlier: Sequence[Answer]
) -> Answer | None:
    """Return the last version by a person, or None.

    The first scores of a bot that sends several were stored as not suspect, so the whole run of them is left out.
    """
    if suspected is not Suspicion.SEVERAL_SCORES:
        return invitation.genuine_answer
    run_began = entry.at - SCORE_RUN_WINDOW
    for each in reversed(earlier):
        if each.suspect and each.answered_at > run_began:  # an earlier entry of the same run
            run_began = each.answered_at - SCORE_RUN_WINDOW
    before_the_run = [each for each in earlier if not each.suspect and each.answered_at <= run_began]
    return max(before_the_run, key=lambda each: each.version, default=None)


def _restored(invitation: Invitation, genuine: Answer, *, at: datetime) -> Answer:
    current = invitation.answer
    if current is None or (not current.suspect and _content(current) == _content(genuine)):
        return current or genuine
    return replace(genuine, version=current.version + 1, answered_at=at)


def _next_version(invitation: Invitation, entry: Entry, *, new_id: UUID, suspect: bool = False) -> Answer | Refusal:
    current = invitation.answer
    starts_anew = current is None or (current.suspect and not suspect and entry.score is not None)
    before = None if starts_anew else current  # a genuine answer keeps nothing of a suspect one
    score = entry.score if entry.score is not None or before is None else before.score
    if score is None:
        return Refusal.NO_SCORE
    if entry.callback is not None and not _has_number(invitation, entry.callback):
        return Refusal.NO_NUMBER
    content = _merged(invitation.content, entry, before, score=score)
    wanted = entry.callback.wanted if entry.callback else before is not None and before.callback_wanted
    unchanged = before is not None and _content(before) == content and before.callback_wanted == wanted
    if before is not None and unchanged and before.suspect == suspect:
        return before
    step, channel = _step_and_channel(invitation.content, entry)
    return Answer(
        current.answer_id if current else new_id,
        current.version + 1 if current else 1,
        *content,
        mode=entry.mode,
        step=step,
        channel=channel,
        suspect=suspect,
        answered_at=entry.at,
        first_day=before.first_day if before else local_day(entry.at, invitation.program_zone),
        device=entry.device,
        callback_wanted=wanted,
    )


def _has_number(invitation: Invitation, callback: Callback) -> bool:
    """Return whether there is a number to call back; a callback requested before has one."""
    asked_before = invitation.genuine_answer is not None and invitation.genuine_answer.callback_wanted
    known = bool(callback.phone or invitation.phone or asked_before)
    return not callback.wanted or (callback.dialable and known)


_AnswerContent = tuple[int, tuple[str, ...], str | None, Mapping[str, str]]


def _content(answer: Answer) -> _AnswerContent:
    return answer.score, answer.reasons, answer.comment, answer.extra


def _merged(content: Content, entry: Entry, before: Answer | None, *, score: int) -> _AnswerContent:
    reasons = _reasons(content, entry, before, score=score)
    comment = entry.comment if entry.comment is not None or before is None else before.comment
    return score, reasons, (comment or "").strip() or None, _extra(content, entry, before)


def _extra(content: Content, entry: Entry, before: Answer | None) -> Mapping[str, str]:
    """Return the answers to extra questions; an empty text removes an answer, one that is no choice changes nothing."""
    said = {name: text for name, text in entry.extra.items() if content.takes(name, text)}
    return {name: text for name, text in {**(before.extra if before else {}), **said}.items() if text.strip()}


def _reasons(content: Content, entry: Entry, before: Answer | None, *, score: int) -> tuple[str, ...]:
    """Return the ticked reasons; without any, the earlier ones that the new score also offers, with the same text."""
    if entry.reasons is not None:
        return tuple(dict.fromkeys(reason for reason in entry.reasons if reason in content.all_reasons))
    if before is None:
        return ()
    shown = content.reasons_for(before.score)
    same = {reason.id for reason in content.reasons_for(score) if reason in shown}
    return tuple(reason for reason in before.reasons if reason in same)


def _step_and_channel(content: Content, entry: Entry) -> tuple[int, ChannelKind | None]:
    """Return step and channel; a step that is not in the plan becomes 0: the link's token does not protect the step."""
    channel = content.channel_of(entry.step)
    if channel is not None:
        return entry.step, channel
    return 0, ChannelKind.CALL if entry.mode is AnswerMode.OPERATOR else None
