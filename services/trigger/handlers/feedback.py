"""What became of our invitations, told by dispatcher and scoring; their topics are not ordered among each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.touchpoints import TouchpointState
from services.trigger.repository import respondents, suppressions, touchpoints
from services.trigger.repository.suppressions import SuppressionKey
from shared import inbox
from shared.cloudevents import Event
from shared.events import (
    AnswerPayload,
    InvitationClosed,
    Payload,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyPayload,
)
from shared.vocabulary import InvitationOutcome, Service, SuppressionReason

_OF_INTEREST = (AnswerPayload, InvitationClosed, RespondentOptedOut, RespondentSuppressed, RespondentReleased)

_STATES = {
    InvitationOutcome.ANSWERED: TouchpointState.ANSWERED,
    InvitationOutcome.WITHDRAWN: TouchpointState.WITHDRAWN,
}


async def on_feedback(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
    """Remember answers, ends of invitations, and who must not be contacted."""
    interesting = [event for event in events if isinstance(event.payload, _OF_INTEREST)]
    payloads = [event.payload for event in await inbox.fresh(session, Service.TRIGGER.group, interesting)]
    if not payloads:
        return
    await respondents.lock(
        session, {payload.respondent_id for payload in payloads if isinstance(payload, SurveyPayload)}
    )
    await touchpoints.settle(session, _states(payloads))
    await respondents.note_answers(session, _answers(payloads))
    await _suppress(session, payloads)


def _states(payloads: Sequence[Payload]) -> dict[UUID, TouchpointState]:
    closed = {p.invitation_id: p.outcome for p in payloads if isinstance(p, InvitationClosed)}
    states = {id_: _STATES.get(outcome, TouchpointState.CLOSED) for id_, outcome in closed.items()}
    return states | {answer.invitation_id: TouchpointState.ANSWERED for answer in _counted(payloads)}


def _counted(payloads: Sequence[Payload]) -> list[AnswerPayload]:
    return [payload for payload in payloads if isinstance(payload, AnswerPayload) and not payload.suspect]


def _answers(payloads: Sequence[Payload]) -> dict[str, tuple[str, datetime]]:
    in_time = sorted(_counted(payloads), key=lambda answer: (answer.answered_at, answer.version))
    return {answer.respondent_id: (answer.category, answer.answered_at) for answer in in_time}


async def _suppress(session: AsyncSession, payloads: Sequence[Payload]) -> None:
    """Apply the last word about each suppression of this batch."""
    put: dict[SuppressionKey, datetime | None] = {}
    lifted: set[SuppressionKey] = set()
    for payload in payloads:
        match payload:
            case RespondentSuppressed():
                key = SuppressionKey(payload.respondent_id, payload.channel, payload.program, payload.reason)
                put[key] = payload.until
                lifted.discard(key)
            case RespondentOptedOut():
                key = SuppressionKey(payload.respondent_id, payload.channel, None, SuppressionReason.OPT_OUT)
                put[key] = None
                lifted.discard(key)
            case RespondentReleased():
                key = SuppressionKey(payload.respondent_id, payload.channel, payload.program, payload.reason)
                put.pop(key, None)
                lifted.add(key)
    await suppressions.put(session, put)
    await suppressions.lift(session, lifted)
