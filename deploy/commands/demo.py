"""`earshot demo`: run a sample shop."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands import Transport
from deploy.demo import shop
from shared import logging
from shared.runtime import run_command

app = typer.Typer()


@app.command()
def demo(
    events: Annotated[Transport, typer.Option(help="How events are transported.")] = Transport.POSTGRES,
    seconds: Annotated[int, typer.Option(help="Stop after so many seconds; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Run a sample shop on which weeks of surveys pass in a minute."""
    logging.configure("error", service="demo")
    run_command(lambda: shop.demo(kafka=events is Transport.KAFKA, seconds=seconds))
