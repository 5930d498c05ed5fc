"""Tells the link of the first administrator at a start while nobody can log in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.scoring.people import accounts
from shared.database.db import is_transient
from shared.database.session import Sessions
from shared.waiting import wait_for

_PAUSE_S = 1.0


async def tell_first_link(sessions: Sessions, tell: Callable[[str], None], *, origin: str, stop: asyncio.Event) -> None:
    """Call `tell` with the link, unless somebody has a password; wait for a database that is away."""
    while not stop.is_set():
        try:
            async with sessions.begin() as session:
                invited = await accounts.first_administrator(session)
        except Exception as error:
            if not is_transient(error):
                raise
            await wait_for(stop, _PAUSE_S)
        else:
            if invited is not None:
                tell(invited.url(origin))
            return
