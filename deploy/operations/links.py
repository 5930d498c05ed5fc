"""`earshot links`: finds and repairs surveys with dead links, which scoring does not know because it got no request.

This happens when a topic was deleted, or its retention deleted messages before scoring had read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import typer

from services.dispatcher.repository import invitations as dispatched
from services.scoring.repository import invitations as scored
from shared.config import Settings
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.database.compared_clock import open_command_clock
from shared.database.db import Database
from shared.database.opening import open_for_command
from shared.messaging import codec
from shared.runtime import event_log_for_command

PAGE = 5_000
BATCH = 500

app = typer.Typer(no_args_is_help=True, help="Find and repair links in sent messages that scoring does not know.")


@app.command()
def check() -> None:
    """Print the invitations whose link is dead; exit with 1 when there is one."""
    found = asyncio.run(_check())
    print("\n".join(map(str, found)) or "every open survey has a working link")
    raise typer.Exit(bool(found))


@app.command()
def mend() -> None:
    """Publish the requests of surveys with dead links again, so that scoring stores them."""
    print(f"{asyncio.run(_mend())} requests published again")


@dataclass(frozen=True, slots=True)
class SurveyDatabases:
    """Dispatcher's and scoring's databases, which must have the same open surveys."""

    dispatcher: Database
    scoring: Database

    async def dead_links(self) -> list[UUID]:
        """Return open invitations that dispatcher has had for at least ten minutes and scoring does not have."""
        found: list[UUID] = []
        after: UUID | None = None
        while page := await self._open_invitations(after):
            async with self.scoring.sessions.begin() as session:
                known = await scored.known(session, page)
            found += [each for each in page if each not in known]
            after = page[-1]
        return found

    async def _open_invitations(self, after: UUID | None) -> list[UUID]:
        async with self.dispatcher.sessions.begin() as session:
            return await dispatched.open_ids(session, after=after, limit=PAGE)


@asynccontextmanager
async def open_databases(settings: Settings) -> AsyncIterator[SurveyDatabases]:
    async with (
        open_for_command(settings, Service.DISPATCHER) as dispatcher,
        open_for_command(settings, Service.SCORING) as scoring,
    ):
        yield SurveyDatabases(dispatcher, scoring)


async def _check() -> list[UUID]:
    async with open_databases(Settings()) as surveys:
        return await surveys.dead_links()


async def _mend() -> int:
    settings = Settings()
    async with open_databases(settings) as surveys, event_log_for_command(settings) as event_log:
        now = (await open_command_clock(settings.clock, surveys.dispatcher)).now()
        dead = await surveys.dead_links()
        for start in range(0, len(dead), BATCH):
            async with surveys.dispatcher.sessions.begin() as session:
                found = await dispatched.requests(session, dead[start : start + BATCH])
            events = [cloudevents.new(each, service=Service.TRIGGER, at=now) for each in found]
            await event_log.append([codec.encode(event) for event in events])
    return len(dead)
