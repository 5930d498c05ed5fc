"""Forgets what a service no longer needs: old inbox ids and old parked messages."""

from __future__ import annotations

import asyncio

import structlog

from shared import inbox, parking
from shared.db import Sessions, is_transient
from shared.waiting import wait_for

log = structlog.get_logger()

EVERY_S = 3600


async def run(sessions: Sessions, stop: asyncio.Event) -> None:
    while not await wait_for(stop, EVERY_S):
        try:
            async with sessions.begin() as session:
                await inbox.forget_old(session)
                await parking.forget_old(session)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("housekeeping.waits", exc_info=error)
