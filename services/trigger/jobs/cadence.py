"""The job of relational programs, which ask each customer once per period (cadence) instead of after an event."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.programs.program import CompiledProgram, by_priority
from services.trigger.handlers.cadence import decide_next_batch
from services.trigger.repository import programs
from shared.clock import Clock
from shared.contract.vocabulary import Service
from shared.database.isolated import isolated
from shared.database.session import Sessions
from shared.health import Heartbeat


@dataclass(frozen=True, slots=True)
class CadenceJob:
    sessions: Sessions
    clock: Clock
    settings: InstallationSettings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "cadences"))

    async def tick(self) -> None:
        """Decide about every customer who is due in a relational program, in batches of one transaction each."""
        async with self.sessions() as session:
            current = by_priority(await programs.current(session))
        for program in current:
            if program.document.cadence is not None:
                with isolated("cadence", service=Service.TRIGGER, outages=True, program=program.id):
                    while not self.stop.is_set() and await self._one_batch(program):
                        self.heartbeat.beat()

    async def _one_batch(self, program: CompiledProgram) -> bool:
        async with self.sessions.begin() as session:
            return await decide_next_batch(session, program, now=self.clock.now(), settings=self.settings)
