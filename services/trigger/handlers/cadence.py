"""Relational programs: decides about the customers who are due, in batches, once per program and period."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.cadence import CadenceDay, next_day
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.touchpoints import CadenceDue
from services.trigger.handlers.deciding import decide_internal
from services.trigger.repository import cadences, respondents
from services.trigger.repository.cadences import CadenceProgress
from shared.contract.cloudevents import Event
from shared.contract.vocabulary import Service
from shared.database.session import Session
from shared.zones import local_day

BATCH = 500


async def decide_next_batch(
    session: Session, program: CompiledProgram, *, now: datetime, settings: InstallationSettings
) -> bool:
    """Decide about the next batch of customers who are due; return False when nobody is left today.

    A lock lets one process at a time work on a program; in the others this returns False.
    """
    progress = await cadences.hold(session, program.id)
    if progress is None:
        return False
    day, progress = _day_to_work_on(program, progress, now)
    if day is None:
        return False
    found = await cadences.due_respondents(session, day, after=progress, limit=BATCH)
    locked = await respondents.lock(session, [id_ for _, id_ in found])
    events = [_event(program, day, id_) for id_ in sorted(locked)]
    await decide_internal(session, events, locked, now=now, settings=settings)
    done = len(found) < BATCH
    spread, id_ = (None, None) if done else found[-1]
    await cadences.save(session, program.id, CadenceProgress(day.day, spread, id_))
    return True


def _day_to_work_on(
    program: CompiledProgram, progress: CadenceProgress, now: datetime
) -> tuple[CadenceDay | None, CadenceProgress]:
    cadence = program.document.cadence
    assert cadence is not None
    if progress.day is not None and progress.after_spread is not None:
        return CadenceDay.of(progress.day, cadence=cadence), progress
    today = local_day(now, program.document.time_zone)
    date = next_day(progress.day, today=today, cadence=cadence)
    if date is None:
        return None, progress
    day = CadenceDay.of(date, cadence=cadence)
    return day, replace(progress, day=date, after_spread=day.first - 1, after_id="")


def _event(program: CompiledProgram, day: CadenceDay, respondent_id: str) -> Event[CadenceDue]:
    payload = CadenceDue(respondent_id=respondent_id, program_id=program.id, period=day.period)
    at = day.begins_at(program.document.time_zone)
    return Event(f"{program.id}:{day.period}:{respondent_id}", Service.TRIGGER.source, at, payload)
