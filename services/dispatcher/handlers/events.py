"""Handles the events of our topics, one function per type. A batch is handled in runs of one type, in its order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.domain.chain import after_call, merged_consent
from services.dispatcher.domain.crm_fields import CrmFields
from services.dispatcher.handlers import bind_addresses, close_invitations, customers, record_results
from services.dispatcher.repository import (
    addresses,
    chains,
    consents,
    invitations,
    mailbox,
    open_calls,
    receipts,
    replies,
    steps,
)
from services.dispatcher.repository.crm import crm_fields
from shared.contract.address_keys import AddressKeys
from shared.contract.cloudevents import Event
from shared.contract.events import (
    AnswerAmended,
    AnswerPayload,
    CallClosed,
    Consent,
    Contact,
    InvitationAnswered,
    InvitationPayload,
    Payload,
    RespondentConsentChanged,
    RespondentContactAdded,
    RespondentErased,
    RespondentOptedOut,
    Suppression,
    SurveyAnswered,
    SurveyPayload,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome, Service, SuppressionReason
from shared.database.audit import chain
from shared.database.session import Session
from shared.messaging import inbox, parking
from shared.web import links
from shared.web.links import Purpose

P = TypeVar("P", bound=Payload)


NO_FIELDS = CrmFields("", {})


async def handle(  # noqa: PLR0913 - what a batch is handled with
    session: Session,
    events: Sequence[Event[Payload]],
    *,
    link_keys: Mapping[str, str],
    address_keys: AddressKeys,
    now: datetime,
    fields: CrmFields = NO_FIELDS,
) -> None:
    """Handle a batch; events that were handled before and types that do not concern the dispatcher are ignored.

    Answers are stored for the `fields` of a CRM.
    """
    unseen = await inbox.unseen(session, Service.DISPATCHER.group, events)
    fresh = [event for event in unseen if not (isinstance(event.payload, AnswerPayload) and event.payload.anonymous)]
    await _lock(session, [event.payload for event in fresh])
    for kind, run in groupby(fresh, key=lambda event: type(event.payload)):
        if kind is SurveyRequested:
            requests = _payloads_and_times(run, SurveyRequested)
            await on_requested(session, requests, link_keys=link_keys, address_keys=address_keys, now=now)
        elif kind is RespondentErased:
            erased = {payload.respondent_id for payload, _ in _payloads_and_times(run, RespondentErased)}
            await on_erased(session, erased, address_keys=address_keys, now=now)
        elif kind is RespondentContactAdded:
            added = [payload for payload, _ in _payloads_and_times(run, RespondentContactAdded)]
            await on_contact_added(session, added, address_keys=address_keys)
        elif kind is RespondentConsentChanged:
            await on_consent_changed(session, _payloads_and_times(run, RespondentConsentChanged), now=now)
        elif issubclass(kind, AnswerPayload):
            await on_answered(session, [each for each, _ in _payloads_and_times(run, kind)], fields=fields, now=now)
        elif kind in _BY_TYPE:
            await _BY_TYPE[kind](session, [event.payload for event in run], now=now)


def _payloads_and_times(run: Iterable[Event[Payload]], kind: type[P]) -> list[tuple[P, datetime]]:
    return [(event.payload, event.time) for event in run if isinstance(event.payload, kind)]


async def _lock(session: Session, payloads: Sequence[Payload]) -> None:
    """Lock all invitations of a batch at once, in one order: locking them run by run could deadlock."""
    requested = {each.invitation_id for each in payloads if isinstance(each, SurveyRequested)}
    concerned = {
        each.invitation_id for each in payloads if isinstance(each, InvitationPayload) and type(each) in _BY_TYPE
    } - requested
    if any(map(_suppresses, payloads)) or await invitations.known(session, concerned) != concerned:
        await invitations.let_requests_finish(session)
    elif requested:
        await invitations.announce_requests(session)
    respondents = {each.respondent_id for each in payloads if isinstance(each, _ABOUT_RESPONDENTS)}
    suppressed = {each.respondent_id for each in payloads if isinstance(each, SurveyPayload) and _suppresses(each)}
    same = await addresses.open_with_addresses_of(session, suppressed) if suppressed else set()
    await invitations.lock(session, concerned | same, open_of=respondents)


def _suppresses(payload: Payload) -> bool:
    is_suppressing_call = isinstance(payload, CallClosed) and payload.outcome in _SUPPRESSING
    return is_suppressing_call or isinstance(payload, RespondentOptedOut)


async def on_requested(
    session: Session,
    requests: Sequence[tuple[SurveyRequested, datetime]],
    *,
    link_keys: Mapping[str, str],
    address_keys: AddressKeys,
    now: datetime,
) -> None:
    """Store an invitation for each request, given with the time of its event; raises UnknownLinkKey.

    A request that was parked or is replayed gets the consent that its respondent gave or withdrew meanwhile.
    """
    newer = await consents.newer(session, requests)
    once = {request.invitation_id: _with_consent(request, newer) for request, _ in reversed(requests)}
    new = await invitations.insert(
        session,
        [(request, _unsubscribe_fingerprint(request, link_keys)) for request in once.values()],
        address_keys=address_keys,
    )
    await steps.plan_first(session, [once[invitation] for invitation in new])
    await record_results.record_shown_links(session, [once[invitation] for invitation in new], now=now)
    await close_invitations.close(session, await invitations.take_early(session, new), now=now)


def _with_consent(request: SurveyRequested, newer: Mapping[UUID, Consent]) -> SurveyRequested:
    change = newer.get(request.invitation_id)
    if change is None:
        return request
    return request.model_copy(update={"consent": merged_consent(request.consent, change)})


def _unsubscribe_fingerprint(request: SurveyRequested, link_keys: Mapping[str, str]) -> bytes:
    token = links.token(link_keys, request.link_key, Purpose.UNSUBSCRIBE, request.invitation_id)
    return links.fingerprint(token)


async def on_withdrawn(session: Session, found: Sequence[SurveyWithdrawn], *, now: datetime) -> None:
    outcomes = {each.invitation_id: InvitationOutcome.WITHDRAWN for each in found}
    await close_invitations.close_or_remember(session, outcomes, now=now)


async def on_answered(session: Session, found: Sequence[AnswerPayload], *, fields: CrmFields, now: datetime) -> None:
    """Close answered invitations; a suspect answer, which may be a bot's, closes none."""
    outcomes = {each.invitation_id: InvitationOutcome.ANSWERED for each in found if not each.suspect}
    await close_invitations.close_or_remember(session, outcomes, now=now)
    await crm_fields.store(session, [of for each in found for of in fields.entities_of(each)])


async def on_answered_anonymously(session: Session, found: Sequence[InvitationAnswered], *, now: datetime) -> None:
    """Close these invitations with the day alone: the time of day would show which of the day's answers it was."""
    outcomes = {each.invitation_id: InvitationOutcome.ANSWERED for each in found}
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    await close_invitations.close_or_remember(session, outcomes, now=day)


async def on_opted_out(session: Session, found: Sequence[RespondentOptedOut], *, now: datetime) -> None:
    """Suppress respondents who opted out; the invitation of the opt-out is declined, whatever channel it names."""
    outcomes = {each.invitation_id: InvitationOutcome.DECLINED for each in found}
    await close_invitations.close_or_remember(session, outcomes, now=now)
    await close_invitations.suppress(
        session,
        [
            NewSuppression(
                Suppression(respondent_id=each.respondent_id, channel=each.channel, reason=SuppressionReason.OPT_OUT)
            )
            for each in found
        ],
        now=now,
    )


# a wrong number is somebody else's, who wants no text messages either
_SUPPRESSING = {
    CallOutcome.WRONG_NUMBER: (SuppressionReason.WRONG_NUMBER, (ChannelKind.CALL, ChannelKind.SMS)),
    CallOutcome.DO_NOT_CALL: (SuppressionReason.DO_NOT_CALL, (ChannelKind.CALL,)),
}


async def on_call_closed(session: Session, found: Sequence[CallClosed], *, now: datetime) -> None:
    suppressing = [
        NewSuppression(
            Suppression(respondent_id=each.respondent_id, channel=channel, reason=reason), each.invitation_id
        )
        for each in found
        for reason, channels in [_SUPPRESSING.get(each.outcome, (None, ()))]
        for channel in channels
        if reason
    ]
    locked = await invitations.lock(session, {each.invitation_id for each in found})
    await open_calls.close(session, [each.task_id for each in found])
    if suppressing:
        await close_invitations.suppress(session, suppressing, now=now)
    known = await chains.read(session, locked)
    outcomes = {
        each.invitation_id: outcome
        for each in found
        if (outcome := after_call(each.outcome, known.get(each.invitation_id, []))) is not None
    }
    await close_invitations.close(session, outcomes, now=now)


async def on_consent_changed(
    session: Session, found: Sequence[tuple[RespondentConsentChanged, datetime]], *, now: datetime
) -> None:
    """Change the consent of open invitations, and store it, with the event's time, for requests received later."""
    changes: dict[str, Consent] = {}
    for each, _ in found:
        changes[each.respondent_id] = merged_consent(changes.get(each.respondent_id, Consent()), each.consent)
    changed_at = {each.respondent_id: at for each, at in found}
    open_ones = await invitations.lock(session, open_of=changes)
    await consents.remember(session, {who: (consent, changed_at[who]) for who, consent in changes.items()})
    await invitations.change_consent(session, changes)
    await close_invitations.recall_where(
        session, open_ones.values(), lambda row: changes[row.respondent_id].call is False, now=now
    )


async def on_contact_added(
    session: Session, found: Sequence[RespondentContactAdded], *, address_keys: AddressKeys
) -> None:
    """Give open invitations the addresses that they lack, for their steps still to come."""
    added: dict[str, Contact] = {}
    for each in found:
        known = added.get(each.respondent_id, Contact())
        added[each.respondent_id] = known.model_copy(update=each.contact.model_dump(exclude_none=True))
    await invitations.lock(session, open_of=added)
    await invitations.add_contact(session, added, address_keys=address_keys)


async def on_erased(
    session: Session, respondents: Collection[str], *, address_keys: AddressKeys, now: datetime
) -> None:
    """Delete what is known of these people, but the fingerprints of addresses with an opt-out, complaint or STOP."""
    confirmed = [await customers.confirm_erasure(session, each) for each in sorted(respondents)]
    await close_invitations.withdraw_respondents(session, respondents, now=now)
    await replies.wipe(session, respondents)
    await addresses.mark_of(session, respondents, address_keys)
    await bind_addresses.bind_kept(session, respondents, address_keys)
    await invitations.wipe(session, respondents)
    await crm_fields.erase(session, respondents)
    await mailbox.wipe(session, respondents)
    await receipts.forget_phones(session, respondents)
    await addresses.forget(session, respondents)
    await consents.wipe(session, respondents)
    await parking.delete_of(session, respondents, topics=[SurveyRequested.topic])
    await chain.forget(session, list(respondents))
    await close_invitations.publish(session, confirmed, now=now)


_ABOUT_RESPONDENTS = (
    RespondentOptedOut,
    RespondentConsentChanged,
    RespondentContactAdded,
    RespondentErased,
    CallClosed,
)
_BY_TYPE: dict[type[Payload], Callable[..., Awaitable[Any]]] = {
    SurveyWithdrawn: on_withdrawn,
    SurveyAnswered: on_answered,
    AnswerAmended: on_answered,
    InvitationAnswered: on_answered_anonymously,
    CallClosed: on_call_closed,
    RespondentOptedOut: on_opted_out,
}
