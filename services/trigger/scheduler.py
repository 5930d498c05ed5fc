"""The clock tick: relational programs ask whose turn it is."""

from __future__ import annotations

import asyncio

import structlog

from services.trigger.domain.programs import Program, by_priority
from services.trigger.handlers.batch import Terms
from services.trigger.handlers.cadence import ask_next
from services.trigger.repository import programs
from shared.clock import Clock
from shared.db import Sessions, is_transient
from shared.waiting import wait_for

log = structlog.get_logger()


async def run(sessions: Sessions, stop: asyncio.Event, *, clock: Clock, terms: Terms, every_s: float) -> None:
    """Tick until told to stop; an outage is waited out."""
    while not stop.is_set():
        try:
            await tick(sessions, clock=clock, terms=terms, stop=stop)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("cadence.waits", exc_info=error)
        await wait_for(stop, every_s)


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
