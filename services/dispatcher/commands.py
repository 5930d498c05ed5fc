"""Dispatcher's part of the command line."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import typer

from services.dispatcher import repository, stories
from services.dispatcher.config import DispatcherSettings
from shared import embedded, problems
from shared.db import Database
from shared.vocabulary import Service

app = typer.Typer(help="What was sent, to whom, and what became of it.", no_args_is_help=True)


@app.command()
def invitation(invitation_id: UUID) -> None:
    """Tell the whole story of one invitation."""
    print(asyncio.run(_invitation(invitation_id)))


@app.command()
def counts() -> None:
    """Count invitations by outcome, and steps by channel and state."""
    print(json.dumps(asyncio.run(_counts()), indent=2))


@app.command()
def stalled() -> None:
    """Name open invitations that nothing more would happen to; exit with 1 when there is one."""
    found = asyncio.run(_stalled())
    print("\n".join(map(str, found)) or "every open invitation goes on")
    raise typer.Exit(bool(found))


async def _open() -> Database:
    url = await embedded.url_of(Service.DISPATCHER, DispatcherSettings())
    return Database(url, schema=Service.DISPATCHER, pool_size=1)


async def _invitation(invitation_id: UUID) -> str:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            return (await stories.tell(session, invitation_id)).model_dump_json(indent=2)
    except problems.NotFound:
        raise typer.BadParameter("no such invitation") from None
    finally:
        await database.close()


async def _counts() -> dict[str, dict[str, int]]:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            found = await repository.step_counts(session)
            by_step = {f"{channel} {state}": count for (channel, state), count in sorted(found.items())}
            return {"invitations": await repository.invitation_counts(session), "steps": by_step}
    finally:
        await database.close()


async def _stalled() -> list[UUID]:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            return await repository.stalled(session)
    finally:
        await database.close()
