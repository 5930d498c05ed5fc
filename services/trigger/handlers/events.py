"""Events of shops and CRMs: each gets exactly one stored decision, whether it came by HTTP, log or file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import msgspec
import structlog
from msgspec.structs import replace

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.stored_decision import FORGOTTEN, EventKey, StoredDecision
from services.trigger.domain.identities import Identity, identity_of, with_pseudonym
from services.trigger.domain.programs.timing import MAX_AHEAD
from services.trigger.domain.touchpoints import is_historic, subject_of
from services.trigger.handlers.deciding import open_batch, save
from services.trigger.handlers.identities import lock_respondents
from services.trigger.repository import decisions
from shared import metrics
from shared.contract.cloudevents import Event, IgnoredField
from shared.contract.events import BY_TYPE, CrmPayload, Payload
from shared.contract.vocabulary import Service
from shared.database.session import Session
from shared.languages.marking import mark
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message

log = structlog.get_logger()

_HISTORIC = b"historic"  # instead of a digest: a backfilled event may have less data than the original one
_COMPARED = 16  # bytes of a digest: no more are stored
_CLOCK_SKEW = timedelta(minutes=1)  # between the clocks of two machines, not worth a word
_AHEAD = IgnoredField("time", mark("ahead of the clock, counted as now"))


@dataclass(frozen=True, slots=True)
class EventIdConflict:
    """The source and id of the event belong to another event, whose decision is kept."""

    source: str
    event_id: str


class _Incoming(msgspec.Struct, frozen=True, gc=False):
    event: Event[CrmPayload]
    key: EventKey
    identity: Identity
    digest: bytes


# looked up by type: isinstance() of a pydantic model is slow
_ACCEPTED = frozenset(model for model in BY_TYPE.values() if issubclass(model, CrmPayload))


def read_event(message: Message, *, now: datetime | None = None) -> Event[CrmPayload]:
    """Parse an event that shops and CRMs may send; raises InvalidEvent, also if it is more than a day after `now`."""
    event = check_crm_event(codec.parse(message))
    if now is None or event.time <= now + _CLOCK_SKEW:
        return event
    if event.time > now + MAX_AHEAD:
        raise InvalidEvent("time: more than a day in the future; check the clock and the date")
    return replace(event, ignored=(*event.ignored, _AHEAD))


def check_crm_event(event: Event[Payload]) -> Event[CrmPayload]:
    if type(event.payload) not in _ACCEPTED:
        raise InvalidEvent(f"type: {event.type} is not accepted here, only crm.* is")
    if not 1 <= len(event.payload.key) <= 200:
        raise InvalidEvent("customer.id: expected 1 to 200 characters, together with its namespace")
    return cast("Event[CrmPayload]", event)


async def decide_events(
    session: Session, events: Sequence[Event[CrmPayload]], *, now: datetime, settings: InstallationSettings
) -> list[StoredDecision | EventIdConflict]:
    """Decide a batch, store it, and return the verdicts in order; a repeated event gets its earlier decision.

    That of an event whose decision is past retention has the reason FORGOTTEN.

    Raises Raced: roll back and try again.
    """
    incoming = [
        _Incoming(
            with_pseudonym(event, settings.address_keys),
            EventKey(event.source, event.id),
            identity_of(event.payload, settings.address_keys),
            _digest(event),
        )
        for event in events
    ]
    firsts: dict[EventKey, _Incoming] = {}
    for one in incoming:
        firsts.setdefault(one.key, one)
    known = await decisions.find(session, firsts)
    if fresh := [one for key, one in firsts.items() if key not in known]:
        known |= await _decide_fresh(session, fresh, now=now, settings=settings)
    return [_verdict(one, known[one.key], now=now) for one in incoming]


async def on_crm_events(
    session: Session, events: Sequence[Event[Payload]], *, now: datetime, settings: InstallationSettings
) -> None:
    """Decide events from the log; one whose id was used before for another event is only logged and counted."""
    crm_events = cast("Sequence[Event[CrmPayload]]", events)  # `read_event` has checked them
    for verdict, event in zip(
        await decide_events(session, crm_events, now=now, settings=settings), events, strict=True
    ):
        if isinstance(verdict, EventIdConflict):
            metrics.EVENTS.labels(Service.TRIGGER, event.type, "conflict").inc()
            log.warning("event.id_reused", type=event.type)


async def _decide_fresh(
    session: Session, fresh: Sequence[_Incoming], *, now: datetime, settings: InstallationSettings
) -> dict[EventKey, StoredDecision | None]:
    ids, locked = await lock_respondents(session, [one.identity for one in fresh])
    existing = [one.key for one, id_ in zip(fresh, ids, strict=True) if id_ in locked]
    known = await decisions.find(session, existing)  # another transaction may have decided them before we got the lock
    about = [(id_, one.event) for id_, one in zip(ids, fresh, strict=True)]
    batch = await open_batch(session, about, locked, now=now, settings=settings)
    for one, id_ in zip(fresh, ids, strict=True):
        if one.key not in known:
            known[one.key] = batch.decide(one.event, one.digest, respondent_id=id_)
    await save(session, batch)
    return known


def _digest(event: Event[CrmPayload]) -> bytes:
    """Hash the parsed payload, because HTTP, log and file may encode the same event differently.

    Null fields are left out, so that adding an optional field to the contract changes no digest, and the namespace, so
    that giving a source one does not either.
    """
    if is_historic(event.payload):
        return _HISTORIC
    within = {"customer": {"namespace"}} if event.payload.customer.namespace else None
    body = event.payload.model_dump_json(exclude_none=True, exclude=within)
    return hashlib.sha256(f"{event.type} {body}".encode()).digest()


def _verdict(one: _Incoming, stored: StoredDecision | None, *, now: datetime) -> StoredDecision | EventIdConflict:
    if stored is None:
        return _forgotten(one, now=now)
    historic = _HISTORIC in (stored.digest, one.digest)
    same = _same_touchpoint(one, stored) if historic else stored.digest[:_COMPARED] == one.digest[:_COMPARED]
    return stored if same else EventIdConflict(one.event.source, one.event.id)


def _forgotten(one: _Incoming, *, now: datetime) -> StoredDecision:
    """Return what is said about a repeated event whose decision is past retention; its id is the hash of its key."""
    subject = subject_of(one.event.payload)
    return StoredDecision(
        id=one.key.hash,
        source=one.event.source,
        event_id=one.event.id,
        digest=one.digest,
        type=one.event.type,
        respondent_id=one.identity.id,
        subject=subject and subject.ref,
        event_time=one.event.time,
        decided_at=now,
        reason=FORGOTTEN,
        program_id=None,
        program_version=None,
        invitation_id=None,
        trail=[],
    )


def _same_touchpoint(one: _Incoming, stored: StoredDecision) -> bool:
    subject = subject_of(one.event.payload)
    same_customer = stored.respondent_id in one.identity.every
    return same_customer and (one.event.type, subject and subject.ref) == (stored.type, stored.subject)
