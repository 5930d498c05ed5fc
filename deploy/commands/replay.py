"""`earshot replay`: send a recorded year of a real shop through all services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands import Transport
from deploy.operations import replay
from shared import logging
from shared.runtime import run_command

app = typer.Typer()


@app.command("replay")
def replay_year(
    events: Annotated[Transport, typer.Option(help="How events are transported.")] = Transport.POSTGRES,
    baskets: Annotated[int, typer.Option(help="Only the first so many baskets; 0: the whole year.")] = 0,
    write: Annotated[
        Path | None, typer.Option(help="Only write the events to this file, one a line, for `earshot simulate`.")
    ] = None,
) -> None:
    """Send a recorded year of a real shop through all services and print a table that compares their numbers."""
    if write is not None:
        replay.write_events(write, baskets=baskets)
        return
    logging.configure("error", service="replay")
    run_command(lambda: replay.command(kafka=events is Transport.KAFKA, baskets=baskets))
