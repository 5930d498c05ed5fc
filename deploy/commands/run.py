"""`earshot run`: run the services."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from deploy import all_in_one
from deploy.addresses import print_addresses
from deploy.all_settings import ALL, AllSettings
from deploy.commands import fail
from deploy.operations.secret_findings import problems_of_secrets
from shared import logging
from shared.contract.vocabulary import Service
from shared.runtime import run_command, run_until_signal

app = typer.Typer()


class Which(StrEnum):
    ALL = "all"
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"


@app.command()
def run(which: Annotated[Which, typer.Argument()] = Which.ALL) -> None:
    """Run one service or all of them until Ctrl-C."""
    services = ALL if which is Which.ALL else (Service(which.value),)
    settings = AllSettings.from_environment()
    if settings.trigger.environment == "production" and (faults := problems_of_secrets(settings.trigger)):
        fail("; ".join(faults))
    logging.configure(settings.trigger.log_level, service=which.value)

    async def work(stop: asyncio.Event) -> None:
        await all_in_one.run(settings, stop, services=services, ready=lambda _urls: print_addresses(settings, services))

    run_command(lambda: run_until_signal(work))
