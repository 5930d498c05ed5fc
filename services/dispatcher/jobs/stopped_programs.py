"""What the state of a program means for its open surveys: recalls calls, withdraws surveys, gives steps back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository.programs import halted, states
from services.dispatcher.repository.programs.states import StoppedPrograms
from services.dispatcher.repository.stalled import PagePosition
from shared.clock import Clock
from shared.database.session import Sessions

EVERY_S = 1.0
_BATCH = 500
_PAGE = 2000
_BEFORE_ALL = PagePosition(datetime(1900, 1, 1, tzinfo=UTC), UUID(int=0))
_REASON = "program_stopped"


@dataclass(slots=True)
class StoppedProgramsJob:
    """Does one batch of each kind of work at a time. While no program is stopped and no step waits, it only looks.

    To withdraw surveys it goes once through all that are open; after a restart, once more. A survey that is stored
    later is withdrawn when its step becomes due.
    """

    sessions: Sessions
    clock: Clock
    _withdrawing: frozenset[str] = field(default=frozenset(), init=False)
    _position: PagePosition | None = field(default=None, init=False)

    async def __call__(self) -> int:
        """Return how much was done; 0 when nothing is left."""
        async with self.sessions.begin() as session:
            found = await states.summary(session)
        given_back = await self._give_back() if found.has_halted else 0
        recalled = await self._recall(found) if found.stopped else 0
        return given_back + recalled + await self._withdraw(found)

    async def _give_back(self) -> int:
        async with self.sessions.begin() as session:
            return await halted.give_back(session, limit=_BATCH)

    async def _recall(self, found: StoppedPrograms) -> int:
        async with self.sessions.begin() as session:
            called = await halted.with_open_calls(session, found.stopped, limit=_BATCH)
            await close_invitations.recall_calls(session, called, reason=_REASON, now=self.clock.now())
        return len(called)

    async def _withdraw(self, found: StoppedPrograms) -> int:
        programs = frozenset(found.withdrawn)
        if programs - self._withdrawing:
            self._position = _BEFORE_ALL
        self._withdrawing = programs
        if not programs:
            return 0
        async with self.sessions.begin() as session:
            ids = await halted.waiting(session, programs, limit=_BATCH)
            end = self._position
            if self._position is not None:
                page, end = await halted.open_page(session, programs, self._position, limit=_PAGE)
                ids = sorted({*ids, *page})
            await close_invitations.withdraw(session, ids, reason=_REASON, now=self.clock.now())
        done = len(ids) + (self._position is not None)
        self._position = end
        return done
