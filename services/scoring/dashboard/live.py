"""What an open dashboard hears: when figures changed, and whether changes can arrive at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from services.scoring.repository import live_sequence
from shared.database.db import Sessions, is_transient
from shared.health import Health
from shared.waiting import wait_for

LOOK_S, SILENCE_S = 1.0, 5.0
ANSWER_S = 3.0  # the longest look at the database
LATE_S = 10.0  # a loop that changes come through and that has not beaten for so long holds them up
LIVE = "live"
_ON_THE_WAY = {"consumer": "events", "publisher": "scores"}


@dataclass(slots=True)
class Live:
    """Server-sent events for every open page; all pages together ask the database one thing at a time."""

    sessions: Sessions
    stop: asyncio.Event
    health: Health = field(default_factory=Health)
    _looking: asyncio.Task[Mapping[str, int] | None] | None = field(default=None, init=False)

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/live", self.live, methods=["GET"])
        return router

    async def live(self, program: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Tell an open page, as server-sent events, when the program's figures changed."""
        return StreamingResponse(self.changes_of(program), media_type="text/event-stream")

    async def changes_of(self, program: str) -> AsyncGenerator[str, None]:
        """Look every second; say at least every SILENCE_S seconds whether changes can arrive."""
        seen, state, silent = None, "", 0.0
        while not self.stop.is_set():
            sequences = await self._look()
            now = self._state(sequences)
            if sequences is not None and (sequence := sequences.get(program, 0)) != seen:
                seen = sequence
                yield f"event: figures\ndata: {sequence}\n\n"
            silent += LOOK_S
            if now != state or silent >= SILENCE_S:
                state, silent = now, 0.0
                yield f"event: state\ndata: {state}\n\n"
            await wait_for(self.stop, LOOK_S)

    async def _look(self) -> Mapping[str, int] | None:
        """Return each program's number, None when the database does not answer in time.

        The query is a task of its own: a page that goes away cancels nothing, and one that hangs is not repeated.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._read())
        looking = self._looking
        await asyncio.wait((looking,), timeout=ANSWER_S)
        return looking.result() if looking.done() else None

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
            return "not live: the database does not answer"
        late = [what for loop, what in _ON_THE_WAY.items() if self.health.is_late(loop, LATE_S)]
        return f"not live: {' and '.join(late)} are held up" if late else LIVE
