"""Dispatcher's part of the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated
from uuid import UUID

import typer

from services.dispatcher import schemas
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.handlers import receiving
from services.dispatcher.repository import attempts, invitation_counts, invitations, step_counts, steps, suppressions
from services.dispatcher.schemas import Suppressed
from shared import embedded
from shared.clock import open_clock
from shared.db import Database
from shared.vocabulary import Service, SuppressionReason, respondent_id

app = typer.Typer(help="What was sent, to whom, and what became of it.", no_args_is_help=True)


@app.command()
def invitation(invitation_id: UUID) -> None:
    """Tell the whole story of one invitation."""
    print(asyncio.run(_invitation(invitation_id)))


@app.command()
def counts() -> None:
    """Count invitations by outcome, and steps by channel and state."""
    print(json.dumps(asyncio.run(_counts()), indent=2))


suppressions_app = typer.Typer(help="Whom we write to no more, and why.", no_args_is_help=True)
app.add_typer(suppressions_app, name="suppressions")


@suppressions_app.command("list")
def list_suppressions(
    respondent: Annotated[str | None, typer.Option(help="Only of this customer id.")] = None,
    reason: Annotated[SuppressionReason | None, typer.Option(help="Only for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List suppressions, newest first."""
    known = respondent_id(respondent) if respondent else None
    for each in asyncio.run(_suppressions(known, reason, limit)):
        print(each.model_dump_json())


@suppressions_app.command("release")
def release_suppression(suppression_id: UUID) -> None:
    """Lift one suppression: this respondent may be asked again."""
    if not asyncio.run(_release(suppression_id)):
        raise typer.BadParameter("no such suppression")
    print("released")


async def _suppressions(respondent: str | None, reason: SuppressionReason | None, limit: int) -> list[Suppressed]:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            found = await suppressions.newest(session, respondent=respondent, reason=reason, limit=limit)
            return [schemas.suppressed(each) for each in found]
    finally:
        await database.close()


async def _release(suppression_id: UUID) -> bool:
    settings = DispatcherSettings()
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            return await receiving.release(session, suppression_id, now=open_clock(settings.clock).now())
    finally:
        await database.close()


async def _open() -> Database:
    url = await embedded.url_of(Service.DISPATCHER, DispatcherSettings())
    return Database(url, schema=Service.DISPATCHER, pool_size=1)


async def _invitation(invitation_id: UUID) -> str:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            found = await invitations.story(session, invitation_id)
            if found is None:
                raise typer.BadParameter("no such invitation")
            story = schemas.invitation_story(
                found, await steps.story(session, invitation_id), await attempts.story(session, invitation_id)
            )
    finally:
        await database.close()
    return story.model_dump_json(indent=2)


async def _counts() -> dict[str, dict[str, int]]:
    database = await _open()
    try:
        async with database.sessions.begin() as session:
            found = await step_counts(session)
            by_step = {f"{channel} {state}": count for (channel, state), count in sorted(found.items())}
            return {"invitations": await invitation_counts(session), "steps": by_step}
    finally:
        await database.close()
