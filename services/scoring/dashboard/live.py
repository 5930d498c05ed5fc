"""Server-sent events for open dashboards: when figures changed, and whether changes are being processed at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from services.scoring.repository import live_sequence
from services.scoring.web.scopes import visible_program
from shared.database.db import is_transient
from shared.database.session import Sessions
from shared.health import Health
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.waiting import wait_for
from shared.web.problems import Unavailable
from shared.web.staff.tickets import LASTING, Ticket, signed_in

POLL_S, STATE_S = 1.0, 5.0
TIMEOUT_S = 3.0  # of one query
LATE_S = 10.0  # a loop without a heartbeat for so long is reported as late
MAX_STREAMS = 200  # of a process; the server does not count them among its connections
LIVE = mark("live")
_LOOPS = {"consumer": mark("events"), "publisher": mark("scores")}


@dataclass(slots=True)
class Live:
    """Server-sent events for every open page; all pages share one query at a time."""

    sessions: Sessions
    stop: asyncio.Event
    health: Health = field(default_factory=Health)
    current: Callable[[Ticket], Awaitable[Ticket | None]] | None = None  # what a ticket is now; None: as it was
    _open: int = field(default=0, init=False)
    _query: asyncio.Task[Mapping[str, int] | None] | None = field(default=None, init=False)

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/live", self.live, methods=["GET"])
        return router

    async def live(self, program: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Stream server-sent events to a page: `figures` when the program's figures changed, `state` regularly.

        A stream ends when a ticket would, or within STATE_S seconds after a change of the person; the browser asks for
        another.
        """
        visible_program(program or None)
        if self._open >= MAX_STREAMS:
            raise Unavailable(mark("Too many dashboards are open"), headers={"retry-after": "60"})
        return StreamingResponse(self._counted(program), media_type="text/event-stream")

    async def _counted(self, program: str) -> AsyncGenerator[str, None]:
        self._open += 1
        try:
            async with aclosing(self.changes_of(program)) as changes:
                async for change in changes:
                    yield change
        finally:
            self._open -= 1

    async def changes_of(self, program: str) -> AsyncGenerator[str, None]:
        """Poll every POLL_S seconds; send the state when it changes and at least every STATE_S seconds."""
        seen, state, silent, lasted = None, "", 0.0, 0.0
        while not self.stop.is_set() and lasted < LASTING.total_seconds():
            sequences = await self._poll()
            now = self._state(sequences)
            if sequences is not None and (sequence := sequences.get(program, 0)) != seen:
                seen = sequence
                yield f"event: figures\ndata: {sequence}\n\n"
            silent, lasted = silent + POLL_S, lasted + POLL_S
            if silent >= STATE_S and not await self._still_counts():
                return
            if now != state or silent >= STATE_S:
                state, silent = now, 0.0
                yield f"event: state\ndata: {state}\n\n"
            await wait_for(self.stop, POLL_S)

    async def _still_counts(self) -> bool:
        held = signed_in.get()
        if held is None or self.current is None:
            return True
        try:
            async with asyncio.timeout(TIMEOUT_S):
                now = await self.current(held)
        except Exception as error:
            if isinstance(error, TimeoutError) or is_transient(error):
                return True  # the state says that the database does not answer
            raise
        return now is not None and now.revision == held.revision

    async def _poll(self) -> Mapping[str, int] | None:
        """Return each program's sequence number; None when the database does not answer in time.

        The query runs as its own task: a closed page does not cancel it, and no second one starts while it hangs.
        """
        if self._query is None or self._query.done():
            self._query = asyncio.create_task(self._read())
        query = self._query
        await asyncio.wait((query,), timeout=TIMEOUT_S)
        return query.result() if query.done() else None

    async def _read(self) -> Mapping[str, int] | None:
        try:
            async with self.sessions.begin() as session:
                return await live_sequence.sequences(session)
        except Exception as error:
            if not is_transient(error):
                raise
            return None

    def _state(self, sequences: Mapping[str, int] | None) -> str:
        if sequences is None:
            return gettext("not live: the database does not answer")
        late = [gettext(label) for loop, label in _LOOPS.items() if self.health.is_late(loop, LATE_S)]
        return gettext("not live: %(loops)s are held up", loops=gettext(" and ").join(late)) if late else gettext(LIVE)
