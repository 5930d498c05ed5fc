"""`earshot doctor`: say what is missing or set wrong."""

from __future__ import annotations

import typer

from deploy.operations import doctor
from shared.runtime import run_command

app = typer.Typer()


@app.command("doctor")
def examine() -> None:
    """Check settings, databases, the event log and running services, and say how to repair what is wrong."""
    run_command(doctor.command)
