"""Relational programs: each known customer's turn, in batches, decided once per program and period."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.cadence import CadenceDay, next_day
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.touchpoints import CadenceDue
from services.trigger.handlers.deciding import decide_internal
from services.trigger.repository import cadences, respondents
from services.trigger.repository.cadences import CadenceProgress
from shared.contract.cloudevents import Event
from shared.contract.vocabulary import Service
from shared.zones import local_day

BATCH = 500


async def ask_next(
    session: AsyncSession, program: CompiledProgram, *, now: datetime, settings: InstallationSettings
) -> bool:
    """Decide about the next customers whose turn it is; False when there are none left today.

    One process at a time works on a program; another one meets a locked row and leaves it alone.
    """
    progress = await cadences.hold(session, program.id)
    if progress is None:
        return False
    turn, progress = _turn(program, progress, now)
    if turn is None:
        return False
    found = await cadences.whose_turn(session, turn, after=progress, limit=BATCH)
    locked = await respondents.lock(session, [id_ for _, id_ in found])
    events = [_event(program, turn, id_) for id_ in sorted(locked)]
    await decide_internal(session, events, locked, now=now, settings=settings)
    done = len(found) < BATCH
    spread, id_ = (None, None) if done else found[-1]
    await cadences.keep(session, program.id, CadenceProgress(turn.day, spread, id_))
    return True


def _turn(
    program: CompiledProgram, progress: CadenceProgress, now: datetime
) -> tuple[CadenceDay | None, CadenceProgress]:
    cadence = program.document.cadence
    assert cadence is not None
    if progress.day is not None and progress.after_spread is not None:
        return CadenceDay.of(progress.day, cadence=cadence), progress
    today = local_day(now, program.document.time_zone)
    day = next_day(progress.day, today=today, cadence=cadence)
    if day is None:
        return None, progress
    turn = CadenceDay.of(day, cadence=cadence)
    return turn, replace(progress, day=day, after_spread=turn.first - 1, after_id="")


def _event(program: CompiledProgram, turn: CadenceDay, respondent_id: str) -> Event[CadenceDue]:
    payload = CadenceDue(respondent_id=respondent_id, program_id=program.id, period=turn.period)
    at = turn.begins_at(program.document.time_zone)
    return Event(f"{program.id}:{turn.period}:{respondent_id}", Service.TRIGGER.source, at, payload)
