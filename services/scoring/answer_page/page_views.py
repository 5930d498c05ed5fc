"""Stores page views in group commits, apart from answers."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from services.scoring.domain.bot_detection import PageView
from services.scoring.repository import page_views
from shared.database.db import Sessions, is_transient

log = structlog.get_logger()

MAX_WAITING = 10_000  # views; further ones are dropped


class PageViewWriter:
    """Stores the page views of this process; views are dropped when too many wait or the database is away."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: list[tuple[UUID, PageView]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, invitation_id: UUID, view: PageView) -> None:
        """Add a view; returns when all waiting views are stored or dropped."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((invitation_id, view))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)  # a cancelled caller must not cancel the others' views

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
