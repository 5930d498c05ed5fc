"""`earshot verify`: compares the figures with the answers they were counted from."""

from __future__ import annotations

import asyncio

import typer

from services.scoring.commands.verification import verify
from services.scoring.config import ScoringSettings
from shared.contract.vocabulary import Service
from shared.database.db import fetch
from shared.database.opening import open_for_command

app = typer.Typer()


@app.command("verify")
def verify_command() -> None:
    """Recompute all figures from the answers and compare; exits with 1 when they differ."""
    differences = asyncio.run(_verify(ScoringSettings()))
    for difference in differences:
        typer.echo(difference)
    typer.echo(f"{len(differences)} differences" if differences else "Figures and answers agree.")
    raise typer.Exit(1 if differences else 0)


async def _verify(settings: ScoringSettings) -> list[str]:
    async with (
        open_for_command(settings, Service.SCORING, pool_size=2) as database,
        database.sessions.begin() as session,
    ):
        await fetch(session, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return await verify(session)
