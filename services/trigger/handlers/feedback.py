"""Handles events of dispatcher and scoring: answers, closed invitations and suppressions.

Events of different topics may arrive in any order. An answer may also start a follow-up program.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.trigger.domain.addresses import addresses_of
from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.suppressions import KnownSuppressionKey
from services.trigger.domain.programs.states import ALL_PROGRAMS
from services.trigger.domain.respondents import ANY_PROGRAM, ContactCause, Respondent
from services.trigger.domain.touchpoints import InvitationKey, TouchpointState
from services.trigger.handlers.deciding import decide_internal
from services.trigger.repository import (
    addresses,
    customers,
    program_states,
    programs,
    respondents,
    suppressions,
    touchpoints,
)
from services.trigger.repository.addresses import AddressSuppressionKey
from shared.contract.address_keys import AddressKeys
from shared.contract.cloudevents import Event
from shared.contract.events import (
    AnswerPayload,
    ContactAttempted,
    ErasedPlace,
    ErasureConfirmed,
    InvitationClosed,
    InvitationPayload,
    Payload,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyPayload,
)
from shared.contract.vocabulary import (
    AttemptState,
    ChannelKind,
    InvitationOutcome,
    Service,
    SuppressionReason,
    address_fingerprint,
)
from shared.database.session import Session
from shared.messaging import inbox

_HANDLED = (
    AnswerPayload,
    InvitationClosed,
    RespondentOptedOut,
    RespondentSuppressed,
    RespondentReleased,
    ErasureConfirmed,
)

_STATES = {
    InvitationOutcome.ANSWERED: TouchpointState.ANSWERED,
    InvitationOutcome.WITHDRAWN: TouchpointState.WITHDRAWN,
}


async def on_feedback(
    session: Session, events: Sequence[Event[Payload]], *, now: datetime, settings: InstallationSettings
) -> None:
    """Store answers, outcomes of invitations and suppressions; then decide about follow-ups to the answers."""
    await _count_handed_over(session, events)
    handled = [event for event in events if _is_handled(event.payload)]
    fresh = await inbox.unseen(session, Service.TRIGGER.group, handled)
    if not fresh:
        return
    people = {event.payload.respondent_id for event in fresh if isinstance(event.payload, SurveyPayload)}
    locked = await respondents.lock(session, people)
    payloads = [event.payload for event in fresh]
    await touchpoints.set_states(session, _states(payloads))
    await _update_respondents(session, fresh, locked)
    await _apply_suppressions(session, payloads, locked)
    await _bind_addresses(session, payloads, locked, keys=settings.address_keys)
    await _store_erasures(session, fresh)
    await _follow_up(session, fresh, locked, now=now, settings=settings)


async def _store_erasures(session: Session, events: Sequence[Event[Payload]]) -> None:
    confirmed = {
        (event.payload.respondent_id, event.payload.service): (event.time, _as_json(event.payload.places))
        for event in events
        if isinstance(event.payload, ErasureConfirmed)
    }
    await customers.store_erasures(session, confirmed)


def _as_json(places: Sequence[ErasedPlace]) -> str:
    return json.dumps([place.model_dump() for place in places])


async def _count_handed_over(session: Session, events: Sequence[Event[Payload]]) -> None:
    """Count messages that left after their program, or all, was stopped; a survey of a cadence only for all."""
    left = [event for event in events if _has_left(event.payload)]
    stopped = await program_states.find_stopped(session) if left else {}
    if not stopped:
        return
    fresh = await inbox.unseen(session, Service.TRIGGER.group, left)
    attempts = [event.payload for event in fresh if isinstance(event.payload, ContactAttempted)]
    known = await touchpoints.programs_of(session, set(map(_invitation, attempts)))
    counts = Counter(
        state.program
        for attempt in attempts
        for program in (known.get(attempt.invitation_id, ""), ALL_PROGRAMS)
        if (state := stopped.get(program)) is not None and state.since <= attempt.at
    )
    await program_states.add_handed_over(session, counts)


def _has_left(payload: Payload) -> bool:
    return (
        isinstance(payload, ContactAttempted)
        and payload.revision == 1
        and payload.channel in (ChannelKind.EMAIL, ChannelKind.SMS)
        and payload.state in (AttemptState.SENT, AttemptState.UNKNOWN)
    )


def _is_handled(payload: Payload) -> bool:
    """Leave out suspect answers: scoring sends an amendment if one turns out to be the customer's own."""
    return isinstance(payload, _HANDLED) and not getattr(payload, "suspect", False)


async def _update_respondents(
    session: Session, events: Sequence[Event[Payload]], locked: dict[str, Respondent]
) -> None:
    """Update the last answers and contacts, which caps and conditions use, in the database and in `locked`."""
    invitations = {
        InvitationKey(event.payload.key, id_)
        for event in events
        if (id_ := getattr(event.payload, "invitation_id", None))
    }
    programs_by_invitation = await touchpoints.programs_of(session, invitations)
    before = dict(locked)
    for event in events:
        known = locked.get(event.payload.key)
        if known is not None:
            locked[known.id] = _updated(known, event, programs_by_invitation)
    await respondents.save(session, [after for id_, after in locked.items() if after is not before[id_]])


def _updated(known: Respondent, event: Event[Payload], programs_by_invitation: Mapping[UUID, str]) -> Respondent:
    match event.payload:
        case AnswerPayload() as answer:
            known = known.with_answer(answer.category, answer.score, answer.answered_at)
            return known.with_contact(ContactCause.ANSWER, answer.program.id, answer.answered_at)
        case InvitationClosed(outcome=InvitationOutcome.DECLINED) as closed:
            return known.with_contact(
                ContactCause.DECLINE, programs_by_invitation.get(closed.invitation_id, ANY_PROGRAM), closed.at
            )
        case RespondentOptedOut() as opted_out:
            return known.with_contact(
                ContactCause.UNSUBSCRIBE, programs_by_invitation.get(opted_out.invitation_id, ANY_PROGRAM), opted_out.at
            )
        case RespondentSuppressed(reason=SuppressionReason.OPT_OUT) as suppressed:
            return known.with_contact(ContactCause.UNSUBSCRIBE, suppressed.program or ANY_PROGRAM, event.time)
    return known


def _states(payloads: Sequence[Payload]) -> dict[InvitationKey, TouchpointState]:
    closed = {_invitation(p): p.outcome for p in payloads if isinstance(p, InvitationClosed)}
    states = {key: _STATES.get(outcome, TouchpointState.CLOSED) for key, outcome in closed.items()}
    return states | {_invitation(p): TouchpointState.ANSWERED for p in payloads if isinstance(p, AnswerPayload)}


def _invitation(payload: InvitationPayload) -> InvitationKey:
    return InvitationKey(payload.respondent_id, payload.invitation_id)


async def _follow_up(
    session: Session,
    events: Sequence[Event[Payload]],
    locked: Mapping[str, Respondent],
    *,
    now: datetime,
    settings: InstallationSettings,
) -> None:
    """Decide about answers if a program starts on them; answers to a follow-up program start no other one."""
    follow_ups = {p.id for p in (await programs.current(session)).values() if p.follows_answers and p.document.active}
    answers = [
        Event(event.id, event.source, event.time, event.payload, event.subject)
        for event in events
        if isinstance(event.payload, AnswerPayload)
        and event.payload.program.id not in follow_ups
        and event.payload.respondent_id in locked
    ]
    if follow_ups and answers:
        await decide_internal(session, answers, locked, now=now, settings=settings)


async def _apply_suppressions(session: Session, payloads: Sequence[Payload], locked: Mapping[str, Respondent]) -> None:
    """Store or lift each suppression as its last event says; ignore suppressions of an address that was replaced."""
    put: dict[KnownSuppressionKey, datetime | None] = {}
    lifted: set[KnownSuppressionKey] = set()
    for payload in payloads:
        match payload:
            case RespondentSuppressed() if not _is_of_another_address(payload, locked.get(payload.respondent_id)):
                key = KnownSuppressionKey(payload.respondent_id, payload.channel, payload.program, payload.reason)
                put[key] = payload.until
                lifted.discard(key)
            case RespondentOptedOut():
                key = KnownSuppressionKey(payload.respondent_id, payload.channel, None, SuppressionReason.OPT_OUT)
                put[key] = None
                lifted.discard(key)
            case RespondentReleased():
                key = KnownSuppressionKey(payload.respondent_id, payload.channel, payload.program, payload.reason)
                put.pop(key, None)
                lifted.add(key)
    await suppressions.put(session, put)
    await suppressions.lift(session, lifted)


async def _bind_addresses(
    session: Session, payloads: Sequence[Payload], locked: Mapping[str, Respondent], *, keys: AddressKeys
) -> None:
    """Store or lift the suppressions of addresses, which hold whichever customers have them."""
    bound: dict[AddressSuppressionKey, datetime | None] = {}
    released: set[AddressSuppressionKey] = set()
    for payload in payloads:
        match payload:
            case RespondentSuppressed(channel=channel, program=program, reason=reason):
                for fingerprint in _bound_by(payload, locked.get(payload.respondent_id), keys):
                    key = AddressSuppressionKey(fingerprint, channel, program, reason)
                    bound[key] = payload.until
                    released.discard(key)
            case RespondentReleased(channel=channel, program=program, reason=reason):
                gone = {AddressSuppressionKey(one, channel, program, reason) for one in _fingerprints(payload, keys)}
                bound = {key: until for key, until in bound.items() if key not in gone}
                released |= gone
            case RespondentOptedOut(channel=channel) if known := locked.get(payload.respondent_id):
                for address in addresses_of(known):
                    key = AddressSuppressionKey(keys.fingerprint(address), channel, None, SuppressionReason.OPT_OUT)
                    bound[key] = None
                    released.discard(key)
    await addresses.bind(session, bound)
    await addresses.release(session, released)


def _bound_by(payload: RespondentSuppressed, known: Respondent | None, keys: AddressKeys) -> set[bytes]:
    """Return the fingerprints that a suppression binds: of an older release, those of the respondent's addresses."""
    named = _fingerprints(payload, keys)
    if named or known is None or payload.reason is SuppressionReason.SOFT_BOUNCE:
        return named
    channels = [payload.channel] if payload.channel else list(ChannelKind)
    return {keys.fingerprint(address) for channel in channels if (address := known.address(channel))}


def _fingerprints(payload: RespondentSuppressed | RespondentReleased, keys: AddressKeys) -> set[bytes]:
    """Return every fingerprint that an event binds or releases; one of an older release is not keyed yet."""
    found = {bytes.fromhex(each) for each in payload.addresses}
    if payload.address is None or payload.reason is SuppressionReason.SOFT_BOUNCE:
        return found
    sha256 = bytes.fromhex(payload.address)
    if isinstance(payload, RespondentReleased):
        return found | set(keys.matching_wrapped(sha256))
    return found | {keys.wrapped(sha256)}


def _is_of_another_address(suppressed: RespondentSuppressed, known: Respondent | None) -> bool:
    current = known.address(suppressed.channel) if known and suppressed.channel else None
    if current is None or suppressed.address is None:
        return False
    return address_fingerprint(current).hex() != suppressed.address
