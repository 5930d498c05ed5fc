"""What an answer is: one current per invitation, whichever channel it came by; every change is a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from services.scoring.domain.bot_detection import SCORE_RUN_WINDOW, BotSignals, Device, Suspicion
from services.scoring.domain.calls import Callback
from services.scoring.domain.invitations import Answer, Content, Invitation, InvitationState
from shared.contract.vocabulary import AnswerMode, ChannelKind
from shared.zones import local_day


class Entry(Struct, frozen=True):
    """What somebody says; None keeps what was said before.

    `signals` when it came by the answer page, `task_id` and `operator` when it was said on the phone. An entry that
    `confirms` says that the suspect answer is a person's.
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
    operator: str | None = None
    signals: BotSignals | None = None
    callback: Callback | None = None
    confirms: bool = False

    @property
    def mode(self) -> AnswerMode:
        return AnswerMode.SELF if self.operator is None else AnswerMode.OPERATOR


class AnswerVersion(Struct, frozen=True):
    """A new version of an answer with what it replaces."""

    invitation: Invitation
    entry: Entry
    before: Answer | None
    after: Answer
    suspicion: Suspicion | None = None


class Refusal(StrEnum):
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"
    NO_SCORE = "no_score"
    NO_NUMBER = "no_number"
    LEASE_LOST = "lease_lost"


def suspicion(entry: Entry, earlier: Sequence[Answer]) -> Suspicion | None:
    """Say why this entry looks automatic, given earlier versions of the answer; None when it does not."""
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
    """Say what the answer is after this entry: the current one itself when it says nothing new.

    What looks automatic never replaces what a person said, and what it replaced before it gave itself away comes back.
    """
    if invitation.state is not InvitationState.OPEN:
        return Refusal.WITHDRAWN
    if entry.confirms:
        return _confirmed(invitation, entry)
    if entry.at >= invitation.expires_at:
        return Refusal.CLOSED
    if suspected is None:
        return _next_version(invitation, entry, new_id=new_id)
    kept = _heard_before(invitation, entry, suspected, earlier)
    if kept is None:
        return _next_version(invitation, entry, new_id=new_id, suspect=True)
    return _restored(invitation, kept, at=entry.at)


def _confirmed(invitation: Invitation, entry: Entry) -> Answer | Refusal:
    before = invitation.answer
    if before is None:
        return Refusal.NO_SCORE
    if not before.suspect:
        return before
    return replace(before, version=before.version + 1, suspect=False, answered_at=entry.at)


def _heard_before(
    invitation: Invitation, entry: Entry, suspected: Suspicion, earlier: Sequence[Answer]
) -> Answer | None:
    """Find the last version a person gave; of a run of scores none is a person's, its unsuspected start included."""
    if suspected is not Suspicion.SEVERAL_SCORES:
        return invitation.genuine_answer
    began = entry.at - SCORE_RUN_WINDOW
    for each in reversed(earlier):
        if each.suspect and each.answered_at > began:  # the run was known for one then already
            began = each.answered_at - SCORE_RUN_WINDOW
    before_the_run = [each for each in earlier if not each.suspect and each.answered_at <= began]
    return max(before_the_run, key=lambda each: each.version, default=None)


def _restored(invitation: Invitation, kept: Answer, *, at: datetime) -> Answer:
    now = invitation.answer
    if now is None or (not now.suspect and _content(now) == _content(kept)):
        return now or kept
    return replace(kept, version=now.version + 1, answered_at=at)


def _next_version(invitation: Invitation, entry: Entry, *, new_id: UUID, suspect: bool = False) -> Answer | Refusal:
    now = invitation.answer
    is_first_word = now is None or (now.suspect and not suspect and entry.score is not None)
    before = None if is_first_word else now  # a person's first word owes nothing to a machine's
    score = entry.score if entry.score is not None or before is None else before.score
    if score is None:
        return Refusal.NO_SCORE
    if entry.callback is not None and not _can_be_met(invitation, entry.callback):
        return Refusal.NO_NUMBER
    said = _said(invitation.content, entry, before, score=score)
    wanted = entry.callback.wanted if entry.callback else before is not None and before.callback_wanted
    unchanged = before is not None and _content(before) == said and before.callback_wanted == wanted
    if before is not None and unchanged and before.suspect == suspect:
        return before
    step, channel = _attributed(invitation.content, entry)
    return Answer(
        now.answer_id if now else new_id,
        now.version + 1 if now else 1,
        *said,
        mode=entry.mode,
        step=step,
        channel=channel,
        suspect=suspect,
        answered_at=entry.at,
        first_day=before.first_day if before else local_day(entry.at, invitation.program_zone),
        device=entry.device,
        callback_wanted=wanted,
    )


def _can_be_met(invitation: Invitation, callback: Callback) -> bool:
    """Say whether there is a number to call; who asked for a call before gave one then."""
    asked_before = invitation.genuine_answer is not None and invitation.genuine_answer.callback_wanted
    known = bool(callback.phone or invitation.phone or asked_before)
    return not callback.wanted or (callback.dialable and known)


_Said = tuple[int, tuple[str, ...], str | None, Mapping[str, str]]


def _content(answer: Answer) -> _Said:
    return answer.score, answer.reasons, answer.comment, answer.extra


def _said(content: Content, entry: Entry, before: Answer | None, *, score: int) -> _Said:
    reasons = _reasons(content, entry, before, score=score)
    comment = entry.comment if entry.comment is not None or before is None else before.comment
    asked = {question.id for question in content.extra_questions}
    extra = {**(before.extra if before else {}), **{name: said for name, said in entry.extra.items() if name in asked}}
    return score, reasons, (comment or "").strip() or None, extra


def _reasons(content: Content, entry: Entry, before: Answer | None, *, score: int) -> tuple[str, ...]:
    """Take what was ticked; of what was ticked before, keep what this score is asked about in the same words."""
    if entry.reasons is not None:
        return tuple(dict.fromkeys(reason for reason in entry.reasons if reason in content.all_reasons))
    if before is None:
        return ()
    shown = content.reasons_for(before.score)
    same = {reason.id for reason in content.reasons_for(score) if reason in shown}
    return tuple(reason for reason in before.reasons if reason in same)


def _attributed(content: Content, entry: Entry) -> tuple[int, ChannelKind | None]:
    """Believe the step of a link only when the plan has it: the link does not sign it."""
    channel = content.channel_of(entry.step)
    if channel is not None:
        return entry.step, channel
    return 0, ChannelKind.CALL if entry.mode is AnswerMode.OPERATOR else None
