"""Stores page views of the answer page in batches, in other transactions than answers."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from services.scoring.domain.bot_detection import PageView
from services.scoring.repository import page_views
from shared.database.db import is_transient
from shared.database.session import Sessions

log = structlog.get_logger()

MAX_WAITING = 10_000  # queued page views; a view that arrives at a full queue is dropped


class PageViewWriter:
    """Stores page views in batches; drops a view when `MAX_WAITING` are queued, and a batch on a transient error."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: list[tuple[UUID, PageView]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, invitation_id: UUID, view: PageView) -> None:
        """Queue a view and return when all queued views are stored or dropped; raises errors that are not transient."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((invitation_id, view))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)  # a cancelled caller must not cancel the write of other callers' views

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
