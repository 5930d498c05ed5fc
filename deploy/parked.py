"""`earshot parked`: look at messages nobody could handle, and send them through again."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from deploy import databases
from shared import parking
from shared.config import Settings
from shared.db import Database
from shared.runtime import open_event_log
from shared.vocabulary import Service

AT_ONCE = 10_000

app = typer.Typer(no_args_is_help=True, help="Messages nobody could handle.")


@app.command("list")
def show(service: Service, limit: int = 100) -> None:
    """List them, oldest first, with the reason for each."""
    for row in asyncio.run(_parked(service, limit)):
        print(f"{row.id}  {row.parked_at:%Y-%m-%d %H:%M:%S}  {row.message.position}  {row.reason}")


@app.command("replay")
def again(
    service: Service,
    only: Annotated[list[UUID] | None, typer.Option("--id", help="Only this one; may be repeated.")] = None,
) -> None:
    """Put them back on their topic and forget them here."""
    print(f"{asyncio.run(_replay(service, only))} sent again")


async def _parked(service: Service, limit: int) -> list[parking.Parked]:
    settings = Settings()
    database = Database(
        (await databases.urls_for(settings, [service]))[service],
        schema=service,
        options=settings.database_options.patient,
    )
    try:
        async with database.sessions.begin() as session:
            return await parking.parked(session, limit=limit)
    finally:
        await database.close()


async def _replay(service: Service, only: list[UUID] | None) -> int:
    settings = Settings()
    schemas = [service, *([] if settings.events_url else [databases.TRANSPORT])]  # production embeds none
    urls = await databases.urls_for(settings, schemas)
    database = Database(urls[service], schema=service, options=settings.database_options.patient)
    event_log = open_event_log(settings, settings.events_url or urls[databases.TRANSPORT])
    try:
        async with database.sessions.begin() as session:
            rows = await parking.parked(session, limit=AT_ONCE)
        chosen = [row for row in rows if only is None or row.id in only]
        await event_log.append([row.message for row in chosen])
        async with database.sessions.begin() as session:
            await parking.unpark(session, [row.id for row in chosen])
    finally:
        await event_log.close()
        await database.close()
    return len(chosen)
