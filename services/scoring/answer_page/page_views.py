"""Page views, written apart: what gathers while one transaction commits goes with the next."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from services.scoring.domain.bot_detection import PageView
from services.scoring.repository import page_views
from shared.database.db import Sessions, is_transient

log = structlog.get_logger()

AT_MOST = 10_000  # waiting; a flood is not worth remembering view by view


class PageViewWriter:
    """The only one in this process who notes page views; that a note may be lost is nobody's problem."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: list[tuple[UUID, PageView]] = []
        self._writing: asyncio.Task[None] | None = None

    async def note(self, invitation_id: UUID, view: PageView) -> None:
        """Note a view; returns when what waits is written or lost."""
        if len(self._waiting) < AT_MOST:
            self._waiting.append((invitation_id, view))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)  # or who leaves would cancel what others wait for

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with self._sessions.begin() as session:
                    await page_views.add(session, batch)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("page.views_lost", views=len(batch), exc_info=error)
