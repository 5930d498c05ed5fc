"""`earshot parked`: lists messages that could not be handled, and handles them again."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.messaging import parking
from shared.messaging.parking import Parked

app = typer.Typer(no_args_is_help=True, help="List messages that could not be handled, and handle them again.")


@app.command("list")
def list_parked(service: Service, limit: int = 100) -> None:
    """List parked messages, oldest first, each with its reason."""
    for row in asyncio.run(_parked(service, limit)):
        print(f"{row.id}  {row.parked_at:%Y-%m-%d %H:%M:%S}  {row.message.position}  {row.reason}")


@app.command("replay")
def replay(
    service: Service,
    only: Annotated[list[UUID] | None, typer.Option("--id", help="Only this message; may be repeated.")] = None,
) -> None:
    """Handle parked messages as if they had just been read; exit with 1 when some stay parked."""
    from deploy.operations import parked_replay  # noqa: PLC0415 - it loads all services

    handled, still_parked = asyncio.run(parked_replay.replay(service, only))
    print(f"{handled} handled")
    for row, reason in still_parked:
        print(f"{row.id} stays parked: {reason}")
    missing = len(set(only)) - handled - len(still_parked) if only else 0
    if missing:
        print(f"{missing} of these ids are not parked")
    raise typer.Exit(bool(still_parked or missing))


async def _parked(service: Service, limit: int) -> list[Parked]:
    settings = Settings()
    async with open_for_command(settings, service) as database, database.sessions.begin() as session:
        return await parking.list_parked(session, limit=limit)
