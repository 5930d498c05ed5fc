"""The clock tick: relational programs ask whose turn it is."""

from __future__ import annotations

import asyncio

from services.trigger.domain.programs import Program, by_priority
from services.trigger.handlers.batch import Terms
from services.trigger.handlers.cadence import ask_next
from services.trigger.repository import programs
from shared.clock import Clock
from shared.db import Sessions


async def tick(sessions: Sessions, *, clock: Clock, terms: Terms, stop: asyncio.Event | None = None) -> None:
    """Work through every day that is due, a transaction for each batch."""
    async with sessions() as session:
        current = by_priority(await programs.current(session))
    for program in current:
        if program.document.cadence is not None:
            while not (stop and stop.is_set()) and await _one_batch(sessions, program, clock=clock, terms=terms):
                pass


async def _one_batch(sessions: Sessions, program: Program, *, clock: Clock, terms: Terms) -> bool:
    async with sessions.begin() as session:
        return await ask_next(session, program, now=clock.now(), terms=terms)
