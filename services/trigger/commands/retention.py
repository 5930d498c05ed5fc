"""`earshot retention`: drops what is past retention, or says what would be dropped."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.trigger.config import TriggerSettings
from services.trigger.jobs.retention import RetentionJob
from services.trigger.repository import retention
from shared.contract.vocabulary import Service
from shared.database import partitions
from shared.database.db import Database
from shared.database.opening import open_for_command

app = typer.Typer()


@app.command("retention")
def drop_old(
    *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be dropped.")] = False
) -> None:
    """Drop decisions that are past retention, as the service does every hour."""
    asyncio.run(_run(dry_run=dry_run))


async def _run(*, dry_run: bool) -> None:
    settings = TriggerSettings()
    async with open_for_command(settings, Service.TRIGGER) as database:
        job = RetentionJob(database.sessions, settings.decisions_kept)
        print("\n".join(await lines(database, job)))
        if not dry_run:
            await job.tick()


async def lines(database: Database, job: RetentionJob) -> list[str]:
    """Return a line for each partition that is past retention: its name, end, rows and bytes."""
    async with database.sessions() as session:
        now = await partitions.machine_time(session)
        found = [(each, await retention.count(session, each.name)) for each in await job.past(now)]
    dropped = [f"{each.name}\tuntil {each.ends_at:%Y-%m-%d}\t{n} rows\t{each.bytes} bytes" for each, n in found if n]
    return dropped or ["nothing is past retention"]
