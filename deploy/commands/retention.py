"""`earshot retention`: delete what is past retention, or say what would be deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.jobs.retention import InvitationRetention
from services.scoring.config import ScoringSettings
from services.scoring.jobs.retention import AnswerRetention
from services.trigger.config import TriggerSettings
from services.trigger.jobs.retention import RetentionJob
from shared.contract.vocabulary import Service
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.runtime import run_command

app = typer.Typer()


@app.command()
def retention(
    *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False
) -> None:
    """Delete decisions, surveys and answers that are past retention, as the services do every hour."""
    run_command(lambda: _run(dry_run=dry_run))


async def _run(*, dry_run: bool) -> None:
    trigger, dispatcher, scoring = TriggerSettings(), DispatcherSettings(), ScoringSettings()
    async with (
        open_for_command(trigger, Service.TRIGGER) as of_trigger,
        open_for_command(dispatcher, Service.DISPATCHER) as of_dispatcher,
        open_for_command(scoring, Service.SCORING) as of_scoring,
    ):
        clock = await open_command_clock(scoring.clock, of_scoring)
        decisions = RetentionJob(of_trigger.sessions, trigger.decisions_kept)
        invitations = InvitationRetention(of_dispatcher.sessions, dispatcher.invitations_kept)
        answers = AnswerRetention(of_scoring.sessions, clock, scoring.answers_kept)
        past = {"invitations": await invitations.past(), **await answers.past()}
        lines = await decisions.report() + [f"{what}\t{rows} rows" for what, rows in past.items() if rows]
        print("\n".join(lines) or "nothing is past retention")
        if not dry_run:
            await decisions.tick()
            await invitations()
            await answers()
