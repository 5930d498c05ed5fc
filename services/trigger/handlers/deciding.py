"""Loads the facts of a batch with one query per table, and saves its decisions with one statement per table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.trigger.domain.addresses import KnownAddresses, addresses_of
from services.trigger.domain.deciding.batch import DecisionBatch, InstallationSettings
from services.trigger.domain.deciding.stored_decision import EventKey
from services.trigger.domain.programs.program import CompiledProgram, by_priority
from services.trigger.domain.respondents import Respondent, addresses_in
from services.trigger.domain.touchpoints import TouchpointKey, TriggerPayload, touchpoint_key
from services.trigger.repository import (
    addresses,
    decisions,
    parked,
    programs,
    quotas,
    respondents,
    suppressions,
    touchpoints,
)
from shared import metrics
from shared.contract.cloudevents import Event, place_of
from shared.contract.events import Customer, CustomerErased, CustomerUpdated, RespondentErased
from shared.contract.vocabulary import Service
from shared.database.audit import chain
from shared.database.session import Session
from shared.messaging import outbox


async def open_batch(
    session: Session,
    events: Sequence[tuple[str, Event[TriggerPayload]]],
    locked: Mapping[str, Respondent],
    *,
    now: datetime,
    settings: InstallationSettings,
) -> DecisionBatch:
    """Load the facts about these events, each with its respondent's id, and lock the quotas.

    The caller has locked the respondents in `locked`. One who is not there has no row yet; if another transaction
    inserts it first, `save` raises Raced.
    """
    current = await programs.current(session)
    active = by_priority(current)
    people = {id_: locked.get(id_) or Respondent(id_) for id_, _ in events}
    known_addresses, bound = await _lock_addresses(session, events, active, people, settings=settings)
    keys = {touchpoint_key(event.payload, id_) for id_, event in events if id_ in locked}
    found = await touchpoints.find(session, [key for key in keys if key])
    known_suppressions, known_addresses.suppressions = await suppressions.find(session, people, bound)
    return DecisionBatch(
        programs=active,
        groups={program.id: program.document.group for program in current.values() if program.document.group},
        respondents=people,
        touchpoints=found,
        stored=frozenset[str | TouchpointKey]({*locked, *found}),
        suppressions=known_suppressions,
        quotas_used=await quotas.hold(session, _with_quotas(active, [event for _, event in events]), now=now),
        now=now,
        settings=settings,
        addresses=known_addresses,
    )


async def _lock_addresses(
    session: Session,
    events: Sequence[tuple[str, Event[TriggerPayload]]],
    active: Sequence[CompiledProgram],
    people: Mapping[str, Respondent],
    *,
    settings: InstallationSettings,
) -> tuple[KnownAddresses, set[bytes]]:
    """Lock the addresses that these events may ask at, replace or erase; also return their fingerprints."""
    known = KnownAddresses(settings.address_keys, settings.shared_address_ids)
    named: set[str] = set()
    for id_, event in events:
        payload = event.payload
        if type(payload) in (CustomerErased, CustomerUpdated) or any(p.starts_on(payload) for p in active):
            named.update(addresses_of(people[id_]))
            customer = getattr(payload, "customer", None)
            if type(customer) is Customer:
                named.update(addresses_in(customer, phone_region=settings.phone_region))
    fingerprints = {one for address in named for one in known.matching(address)}
    known.hold(named, await addresses.lock(session, fingerprints))
    return known, fingerprints


def _with_quotas(active: Iterable[CompiledProgram], events: Sequence[Event[TriggerPayload]]) -> list[str]:
    limited = [program for program in active if program.document.quotas]
    return [program.id for program in limited if any(program.starts_on(event.payload) for event in events)]


async def decide_internal(
    session: Session,
    events: Sequence[Event[TriggerPayload]],
    locked: Mapping[str, Respondent],
    *,
    now: datetime,
    settings: InstallationSettings,
) -> None:
    """Decide internal events (answers and due cadences) and store the decisions; skip events decided before."""
    known = await decisions.find(session, [EventKey(event.source, event.id) for event in events])
    about = [(event.payload.key, event) for event in events]
    batch = await open_batch(session, about, locked, now=now, settings=settings)
    for event in events:
        if EventKey(event.source, event.id) not in known:
            batch.decide(event, digest=b"")
    await save(session, batch)


async def save(session: Session, batch: DecisionBatch) -> None:
    """Store a batch and publish its events; metrics are counted after the commit. Raises Raced."""
    await respondents.add(session, [known for id_, known in batch.respondents.items() if id_ not in batch.stored])
    await respondents.save(session, [batch.respondents[id_] for id_ in batch.changed_respondents & batch.stored])
    await decisions.add(session, batch.decisions)
    await suppressions.lift(session, batch.lifted)
    await touchpoints.add(
        session, [batch.touchpoints[key] for key in batch.changed_touchpoints - batch.stored], batch.decisions
    )
    await touchpoints.save(
        session, [batch.touchpoints[key] for key in batch.changed_touchpoints & batch.stored], batch.decisions
    )
    await quotas.save(session, {key: batch.quotas_used[key] for key in batch.changed_quotas})
    await _save_addresses(session, batch)
    await outbox.add(session, batch.events)
    if erased := {event.payload.key for event in batch.events if type(event.payload) is RespondentErased}:
        await parked.delete(session, erased, keys=batch.settings.address_keys)
        await touchpoints.delete_details(session, erased)
        await chain.forget(session, sorted(erased))
    made = Counter((decision.program_id or "", decision.reason) for decision in batch.decisions)
    missing = Counter(batch.missing)
    shared = sum("shared_address" in trial["facts"] for each in batch.decisions for trial in each.trail[:1])
    ignored = Counter((each.type, place_of(one["field"])) for each in batch.decisions for one in each.ignored or ())
    session.after_commit(lambda: _count(made, missing, ignored, shared=shared, clashes=batch.clashes))


async def _save_addresses(session: Session, batch: DecisionBatch) -> None:
    known = batch.addresses
    await addresses.add(session, [known.records[one] for one in known.changed - known.stored])
    await addresses.save(session, [known.records[one] for one in known.changed & known.stored])
    if known.erased:
        await addresses.forget(session, [known.matching(address) for address in sorted(known.erased)])


def _count(
    made: Counter[tuple[str, str]],
    missing: Counter[tuple[str, str]],
    ignored: Counter[tuple[str, str]],
    *,
    shared: int,
    clashes: int,
) -> None:
    metrics.ID_CLASHES.labels(Service.TRIGGER).inc(clashes)
    metrics.SHARED_ADDRESSES.labels(Service.TRIGGER).inc(shared)
    for labels, number in made.items():
        metrics.DECISIONS.labels(Service.TRIGGER, *labels).inc(number)
    for labels, number in missing.items():
        metrics.MISSING_FIELDS.labels(Service.TRIGGER, *labels).inc(number)
    for labels, number in ignored.items():
        metrics.IGNORED_FIELDS.labels(Service.TRIGGER, *labels).inc(number)
