"""One batch around the decisions: facts for all of it in one query each before, one statement per table after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.deciding.batch import DecisionBatch, InstallationSettings
from services.trigger.domain.deciding.stored_decision import EventKey
from services.trigger.domain.programs.program import CompiledProgram, by_priority
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TouchpointKey, TriggerPayload, touchpoint_key
from services.trigger.repository import decisions, parked, programs, quotas, respondents, suppressions, touchpoints
from shared import metrics
from shared.contract.cloudevents import Event
from shared.contract.events import RespondentErased
from shared.contract.vocabulary import Service
from shared.database import db
from shared.messaging import outbox


async def open_batch(
    session: AsyncSession,
    events: Sequence[Event[TriggerPayload]],
    locked: Mapping[str, Respondent],
    *,
    now: datetime,
    settings: InstallationSettings,
) -> DecisionBatch:
    """Load what these events are decided by; their respondents are locked already, the quotas are now.

    Who is not among the locked is new: whoever stores them first wins, see `respondents.add`.
    """
    current = await programs.current(session)
    tried = by_priority(current)
    ids = [event.payload.key for event in events]
    people = {**{id_: Respondent(id_) for id_ in ids}, **locked}
    places = {touchpoint_key(event.payload) for event, id_ in zip(events, ids, strict=True) if id_ in locked}
    found = await touchpoints.find(session, [place for place in places if place])
    return DecisionBatch(
        programs=tried,
        groups={program.id: program.document.group for program in current.values() if program.document.group},
        respondents=people,
        touchpoints=found,
        stored=frozenset[str | TouchpointKey]({*locked, *found}),
        suppressions=dict(await suppressions.find(session, people)),
        quotas_used=await quotas.hold(session, _with_quotas(tried, events), now=now),
        now=now,
        settings=settings,
    )


def _with_quotas(tried: Iterable[CompiledProgram], events: Sequence[Event[TriggerPayload]]) -> list[str]:
    limited = [program for program in tried if program.document.quotas]
    return [program.id for program in limited if any(program.starts_on(event.payload) for event in events)]


async def decide_internal(
    session: AsyncSession,
    events: Sequence[Event[TriggerPayload]],
    locked: Mapping[str, Respondent],
    *,
    now: datetime,
    settings: InstallationSettings,
) -> None:
    """Decide what nobody outside told us of, once."""
    known = await decisions.find(session, [EventKey(event.source, event.id) for event in events])
    batch = await open_batch(session, events, locked, now=now, settings=settings)
    for event in events:
        if EventKey(event.source, event.id) not in known:
            batch.decide(event, digest=b"")
    await save(session, batch)


async def save(session: AsyncSession, batch: DecisionBatch) -> None:
    """Store what was decided; it is counted once it is committed. Raises Raced."""
    await respondents.add(session, [known for id_, known in batch.respondents.items() if id_ not in batch.stored])
    await respondents.save(session, [batch.respondents[id_] for id_ in batch.changed_respondents & batch.stored])
    await decisions.add(session, batch.decisions)
    await suppressions.lift(session, batch.lifted)
    await touchpoints.add(session, [batch.touchpoints[key] for key in batch.changed_touchpoints - batch.stored])
    await touchpoints.save(session, [batch.touchpoints[key] for key in batch.changed_touchpoints & batch.stored])
    await quotas.save(session, {key: batch.quotas_used[key] for key in batch.changed_quotas})
    await outbox.add(session, batch.events)
    if erased := {event.payload.key for event in batch.events if isinstance(event.payload, RespondentErased)}:
        await parked.forget(session, erased)
        await touchpoints.forget_details(session, erased)
    made = Counter((decision.program_id or "", decision.reason) for decision in batch.decisions)
    missing = Counter(batch.missing)
    db.after_commit(session, lambda: _count(made, missing))


def _count(made: Counter[tuple[str, str]], missing: Counter[tuple[str, str]]) -> None:
    for labels, number in made.items():
        metrics.DECISIONS.labels(Service.TRIGGER, *labels).inc(number)
    for labels, number in missing.items():
        metrics.MISSING_FIELDS.labels(Service.TRIGGER, *labels).inc(number)
