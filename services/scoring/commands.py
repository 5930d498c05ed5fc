"""Scoring's part of the command line."""

from __future__ import annotations

import asyncio

import typer

from services.scoring.config import ScoringSettings
from services.scoring.verification import verify
from shared import embedded
from shared.db import Database
from shared.vocabulary import Service

app = typer.Typer()


@app.command("verify")
def verify_command() -> None:
    """Count every answer again and compare with the published figures; exits with 1 when they differ."""
    differences = asyncio.run(_verify(ScoringSettings()))
    for difference in differences:
        typer.echo(difference)
    typer.echo(f"{len(differences)} differences" if differences else "Figures and answers agree.")
    raise typer.Exit(1 if differences else 0)


async def _verify(settings: ScoringSettings) -> list[str]:
    database = Database(await embedded.url_of(Service.SCORING, settings), schema=Service.SCORING, pool_size=1)
    try:
        async with database.sessions.begin() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            return await verify(session)
    finally:
        await database.close()
