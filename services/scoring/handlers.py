"""Handlers of consumed events; a batch of events is handled in one transaction."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeGuard
from uuid import uuid4

import msgspec
import structlog

from services.scoring.answers import calls, quote_consents
from services.scoring.answers.record import answered_series, invited_series
from services.scoring.domain.dimensions import BucketKey, DimensionValue, counted_dimensions, segment_values
from services.scoring.domain.invitations import Invitation
from services.scoring.domain.score import Tally
from services.scoring.domain.webhooks import FORWARDED, LINK_READY
from services.scoring.repository import deliveries, erasure, invitations, programs, webhooks, withdrawals
from services.scoring.repository.comments import quotes
from services.scoring.repository.invitations import LinkedInvitation
from services.scoring.repository.retention import limits
from services.scoring.repository.scores import buckets, dimensions, journeys
from services.scoring.web import customer_data
from shared.clock import Clock
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    CallRequested,
    CallWithdrawn,
    ContactAttempted,
    InvitationClosed,
    InvitationPayload,
    Payload,
    PlanStep,
    ProgramPublished,
    RespondentConsentChanged,
    RespondentErased,
    RespondentPurchased,
    RespondentReleased,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.contract.topics import SURVEY_CALLS, SURVEY_DELIVERIES, SURVEY_PROGRAMS, SURVEY_REQUESTS
from shared.contract.vocabulary import Service, SuppressionReason
from shared.database import db
from shared.database.audit import chain
from shared.database.session import Session
from shared.messaging import inbox, outbox, parking
from shared.web import links
from shared.web.links import Purpose

log = structlog.get_logger()

TOPICS = [topic.name for topic in (SURVEY_REQUESTS, SURVEY_PROGRAMS, SURVEY_DELIVERIES, SURVEY_CALLS)]


@dataclass(frozen=True, slots=True)
class CounterChanges:
    """The counter changes of a batch of events: answer tallies and numbers of invitations, by counter key."""

    tallies: defaultdict[BucketKey, Tally] = field(default_factory=lambda: defaultdict(Tally))
    invited: Counter[BucketKey] = field(default_factory=Counter)


class Handlers:
    """Handles batches of consumed events.

    `link_secrets` are the secrets of answer links, by link key; answer pages are below `public_url`. Scores are counted
    per employee, too, only if `employees` is set.
    """

    def __init__(
        self, *, link_secrets: Mapping[str, str], clock: Clock, public_url: str = "", employees: bool = False
    ) -> None:
        self._link_secrets = link_secrets
        self._clock = clock
        self._public_url = public_url
        self._employees = employees

    async def __call__(self, session: Session, events: Sequence[Event[Payload]]) -> None:
        unseen = await inbox.unseen(session, Service.SCORING.group, events)
        fresh = await _without_dropped(session, [event.payload for event in unseen])
        invitation_ids = [p.invitation_id for p in fresh if isinstance(p, InvitationPayload)]
        taken_back = {each.payload.respondent_id: each.time for each in unseen if _takes_back(each.payload)}
        respondents = [p.respondent_id for p in fresh if isinstance(p, RespondentErased) or _changes_offers(p)]
        await invitations.lock(session, invitation_ids, respondents=[*respondents, *taken_back])
        await invitations.take_back_opt_outs(session, taken_back)
        changes = CounterChanges()
        for part in _until_erasures(fresh):
            await self._handle(session, part, changes)
        attempted = [payload for payload in fresh if isinstance(payload, ContactAttempted)]
        closed = [payload for payload in fresh if isinstance(payload, InvitationClosed)]
        await deliveries.store(session, attempted, closed)
        await webhooks.forward(session, [event for event in unseen if isinstance(event.payload, FORWARDED)])
        # counters are written last, because all transactions lock invitations before counters to avoid deadlocks
        await db.write(session, buckets.add_statement(changes.tallies, invited=changes.invited))

    async def _handle(self, session: Session, payloads: Sequence[Payload], changes: CounterChanges) -> None:
        now = self._clock.now()
        in_order: list[tuple[type[Payload], Callable[[Session, Any], Awaitable[None]]]] = [
            (ProgramPublished, on_program_published),
            (SurveyRequested, partial(self._on_requested, changes=changes)),
            (SurveyRequested, self._tell_links),
            (SurveyWithdrawn, partial(on_withdrawn, changes=changes)),
            (RespondentConsentChanged, on_consent_changed),
            (RespondentPurchased, journeys.store_purchases),
            (CallRequested, partial(calls.add_requested, now=now)),
            (CallWithdrawn, partial(calls.withdraw_requested, now=now)),
            (RespondentErased, partial(on_erased, now=now)),
        ]
        for kind, handle in in_order:
            if of_kind := [payload for payload in payloads if isinstance(payload, kind)]:
                await handle(session, of_kind)

    async def _on_requested(
        self, session: Session, requested: Sequence[SurveyRequested], *, changes: CounterChanges
    ) -> None:
        secrets, employees = self._link_secrets, self._employees
        await on_requested(session, requested, link_secrets=secrets, employees=employees, changes=changes)

    async def _tell_links(self, session: Session, requested: Sequence[SurveyRequested]) -> None:
        """Queue webhooks with the links that shops show themselves."""
        shown = [(each, step) for each in requested for step in each.plan if not step.channel.contacts]
        await webhooks.queue(session, [_link_ready(*each, self._link_secrets, self._public_url) for each in shown])


def _changes_offers(payload: Payload) -> TypeGuard[RespondentConsentChanged]:
    return isinstance(payload, RespondentConsentChanged) and payload.offers is not None


def _takes_back(payload: Payload) -> TypeGuard[RespondentReleased]:
    """Whether the respondent may be asked again over all channels, after an opt-out."""
    return (
        isinstance(payload, RespondentReleased)
        and payload.reason == SuppressionReason.OPT_OUT
        and payload.channel is payload.program is None
    )


async def _without_dropped(session: Session, payloads: Sequence[Payload]) -> list[Payload]:
    """Lock requests and withdrawals, and leave out repeats of survey requests that are past retention."""
    if not any(isinstance(p, SurveyRequested | SurveyWithdrawn) for p in payloads):
        return list(payloads)
    await withdrawals.lock_requests(session, alone=any(isinstance(p, SurveyWithdrawn) for p in payloads))
    before = await limits.dropped_before(session)
    kept = [p for p in payloads if not (isinstance(p, SurveyRequested) and p.invitation_id < before)]
    if dropped := len(payloads) - len(kept):
        log.info("requests.past_retention", requests=dropped)
    return kept


def _link_ready(
    request: SurveyRequested, step: PlanStep, secrets: Mapping[str, str], public_url: str
) -> tuple[str, str, str, bytes]:
    """Return the id, type, subject and body of the webhook with the link of a survey."""
    invitation_id = str(request.invitation_id)
    event_id = f"{invitation_id}.{step.step}"
    url = links.answer_url(public_url, secrets, request.link_key, request.invitation_id, step=step.step)
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": Service.SCORING.source,
        "type": LINK_READY,
        "time": request.event.time,
        "subject": invitation_id,
        "data": {
            "invitation_id": invitation_id,
            "customer_id": request.customer_id,
            "event": {name: getattr(request.event, name) for name in ("source", "id", "subject")},
            "url": url,
            "qr_url": f"{url}/qr.svg",
            "expires_at": request.expires_at,
        },
    }
    return event_id, LINK_READY, invitation_id, msgspec.json.encode(body)


def _until_erasures(payloads: Sequence[Payload]) -> list[list[Payload]]:
    """Split payloads after each RespondentErased, so that an erasure does not affect surveys requested later."""
    parts: list[list[Payload]] = [[]]
    for payload in payloads:
        parts[-1].append(payload)
        if isinstance(payload, RespondentErased):
            parts.append([])
    return parts


async def on_program_published(session: Session, published: Sequence[ProgramPublished]) -> None:
    newest = {p.program_id: p for p in sorted(published, key=lambda p: p.program_version)}
    documents = [(p.program_id, p.program_version, json.dumps(p.document), p.state) for p in newest.values()]
    await programs.store_programs(session, documents)


async def on_requested(
    session: Session,
    requested: Sequence[SurveyRequested],
    *,
    link_secrets: Mapping[str, str],
    employees: bool,
    changes: CounterChanges,
) -> None:
    """Store invitations with their link fingerprints and count them on the day of `send_at`; raises UnknownLinkKey."""
    zones = await programs.program_zones(session)
    known = await dimensions.admit(
        session,
        [
            value
            for request in requested
            for value in segment_values(request.program.id, request.segments, employees=employees)
        ],
    )
    new = [
        LinkedInvitation(
            _invitation(request, zones, known, employees=employees),
            _fingerprint(request, link_secrets),
            () if request.anonymous else request.offers,
        )
        for request in {request.invitation_id: request for request in requested}.values()
    ]
    added = await invitations.add(session, new)
    withdrawn = await withdrawals.marked(session, list(added))
    await withdrawals.withdraw(session, list(withdrawn))
    asked = [linked.invitation for linked in new if linked.invitation.id in added - withdrawn]
    changes.invited.update(invited_series([invitation for invitation in asked if invitation.counted]))
    await journeys.mark_pending(session, added)


def _fingerprint(request: SurveyRequested, link_secrets: Mapping[str, str]) -> bytes:
    return links.fingerprint(links.token(link_secrets, request.link_key, Purpose.ANSWER, request.invitation_id))


def _invitation(
    request: SurveyRequested, zones: Mapping[str, str], known: set[DimensionValue], *, employees: bool
) -> Invitation:
    return Invitation.of(
        request,
        program_zone=zones.get(request.program.id, request.time_zone),
        dimensions=counted_dimensions(
            request.program.id,
            request.segments,
            version=request.program.version,
            known=known,
            employees=employees,
        ),
    )


async def on_withdrawn(session: Session, withdrawn: Sequence[SurveyWithdrawn], *, changes: CounterChanges) -> None:
    """Withdraw open invitations without a genuine answer and subtract them and their answers from the counters."""
    ids = [each.invitation_id for each in withdrawn]
    await withdrawals.mark(session, ids)
    known = await invitations.lock_and_load(session, ids)
    uncounted = [known[each] for each in await withdrawals.withdraw(session, list(known)) if known[each].counted]
    changes.invited.subtract(invited_series(uncounted))
    for key, tally in answered_series(uncounted):
        changes.tallies[key] += -tally
    await journeys.mark_pending(session, [each.id for each in uncounted])


async def on_consent_changed(session: Session, changed: Sequence[RespondentConsentChanged]) -> None:
    """Store in open invitations over which channels their customers allow offers; surveys are dispatcher's."""
    await invitations.change_offers(session, {p.respondent_id: p.offers for p in changed if p.offers is not None})


async def on_erased(session: Session, erased: Sequence[RespondentErased], *, now: datetime) -> None:
    respondents = [each.respondent_id for each in erased]
    confirmed = [await customer_data.confirm_erasure(session, each) for each in respondents]
    ids = await erasure.lock_invitations(session, respondents)
    quoted = await quotes.quotable(session, ids)
    await calls.erase(session, ids, now=now)
    await erasure.erase(session, ids, pseudonyms={each: f"erased-{uuid4()}" for each in respondents})
    answered = await erasure.answers_of(session, ids)
    await webhooks.delete_deliveries(session, invitations=[*ids, *answered], respondents=respondents)
    await quote_consents.end(session, quoted.values(), at=now)
    await parking.delete_of(session, respondents, topics=[SurveyRequested.topic, CallRequested.topic])
    await chain.forget(session, respondents)
    await outbox.add(session, [cloudevents.new(each, service=Service.SCORING, at=now) for each in confirmed])
