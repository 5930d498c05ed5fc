"""`earshot links`: surveys whose link answers nothing, for scoring never got their request; and what mends them.

A topic that was deleted, or dropped its messages before scoring had read them, leaves such links in mails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import typer

from deploy import databases
from services.dispatcher.repository import invitations as dispatched
from services.scoring.repository import invitations as scored
from shared.config import Settings
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.database.compared_clock import clock_of_command
from shared.database.db import Database
from shared.database.opening import open_for_command
from shared.messaging import codec
from shared.runtime import open_event_log

PAGE = 5_000
AT_ONCE = 500

app = typer.Typer(no_args_is_help=True, help="Links that were sent and answer nothing.")


@app.command()
def check() -> None:
    """Name the surveys whose link answers nothing; exits with 1 when there is one."""
    found = asyncio.run(_check())
    print("\n".join(map(str, found)) or "every open survey has its link")
    raise typer.Exit(bool(found))


@app.command()
def mend() -> None:
    """Publish their requests again: scoring makes the links, dispatcher knows these surveys."""
    print(f"{asyncio.run(_mend())} requests published again")


@dataclass(frozen=True, slots=True)
class Both:
    """The two databases that must know the same surveys."""

    dispatcher: Database
    scoring: Database

    async def dead(self) -> list[UUID]:
        """Find open surveys that dispatcher has, for ten minutes at least, and scoring has not."""
        found: list[UUID] = []
        after: UUID | None = None
        while page := await self._page(after):
            async with self.scoring.sessions.begin() as session:
                known = await scored.known(session, page)
            found += [each for each in page if each not in known]
            after = page[-1]
        return found

    async def _page(self, after: UUID | None) -> list[UUID]:
        async with self.dispatcher.sessions.begin() as session:
            return await dispatched.open_ids(session, after=after, limit=PAGE)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Both]:
    async with (
        open_for_command(settings, Service.DISPATCHER) as dispatcher,
        open_for_command(settings, Service.SCORING) as scoring,
    ):
        yield Both(dispatcher, scoring)


async def _check() -> list[UUID]:
    async with opened(Settings()) as both:
        return await both.dead()


async def _mend() -> int:
    settings = Settings()
    url = settings.events_url or (await databases.urls_for(settings, [databases.TRANSPORT]))[databases.TRANSPORT]
    event_log = open_event_log(settings, url)
    try:
        async with opened(settings) as both:
            now = (await clock_of_command(settings.clock, both.dispatcher)).now()
            dead = await both.dead()
            for start in range(0, len(dead), AT_ONCE):
                async with both.dispatcher.sessions.begin() as session:
                    found = await dispatched.requests(session, dead[start : start + AT_ONCE])
                events = [cloudevents.new(each, service=Service.TRIGGER, at=now) for each in found]
                await event_log.append([codec.encode(event) for event in events])
    finally:
        await event_log.close()
    return len(dead)
