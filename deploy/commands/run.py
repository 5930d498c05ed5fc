"""`earshot run`, `demo`, `replay` and `doctor`: run the services, and look at running ones."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deploy import all_in_one
from deploy.commands import fail
from deploy.demo import shop
from deploy.operations import doctor, replay
from shared import logging
from shared.contract.vocabulary import Service
from shared.runtime import run_command, run_until_signal

app = typer.Typer()


class Which(StrEnum):
    ALL = "all"
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"


class Transport(StrEnum):
    POSTGRES = "postgres"
    KAFKA = "kafka"


@app.command()
def run(which: Annotated[Which, typer.Argument()] = Which.ALL) -> None:
    """Run one service or all of them until Ctrl-C."""
    services = all_in_one.ALL if which is Which.ALL else (Service(which.value),)
    settings = all_in_one.AllSettings.from_environment()
    if settings.trigger.environment == "production" and (faults := doctor.problems_of_secrets(settings.trigger)):
        fail("; ".join(faults))
    logging.configure(settings.trigger.log_level, service=which.value)

    async def work(stop: asyncio.Event) -> None:
        await all_in_one.run(
            settings, stop, services=services, ready=lambda _urls: shop.print_addresses(settings, services)
        )

    run_command(lambda: run_until_signal(work))


@app.command()
def demo(
    events: Annotated[Transport, typer.Option(help="How events are transported.")] = Transport.POSTGRES,
    seconds: Annotated[int, typer.Option(help="Stop after so many seconds; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Run a sample shop on which weeks of surveys pass in a minute."""
    logging.configure("error", service="demo")
    run_command(lambda: shop.demo(kafka=events is Transport.KAFKA, seconds=seconds))


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


@app.command("doctor")
def examine() -> None:
    """Check settings, databases, the event log and running services, and say how to repair what is wrong."""
    run_command(doctor.command)
