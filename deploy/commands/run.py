"""`earshot run`: run the services, which are loaded while the embedded PostgreSQL starts."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import Annotated

import typer

from deploy import databases
from deploy.commands import fail
from shared import logging
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.garbage import collection_paused
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
    common = Settings()
    one = None if which is Which.ALL else (Service(which.value),)
    with collection_paused():
        from deploy.all_settings import ALL, AllSettings  # noqa: PLC0415 - they load parts of all services
        from deploy.operations import secret_findings  # noqa: PLC0415
    services = one or ALL
    settings = AllSettings.from_environment()
    if one is None and common.environment == "development" and secret_findings.make_keys(common):
        settings = AllSettings.from_environment()
    if faults := secret_findings.problems_at_start(settings, is_shared=one is not None):
        fail("; ".join(faults))
    with embedded.starting(databases.schemas_of(common, services), common), collection_paused():
        from deploy import all_in_one  # noqa: PLC0415 - they load all services, which takes half a second
        from deploy.addresses import print_addresses  # noqa: PLC0415
    logging.configure(settings.trigger.log_level, service=which.value)

    def show(link: str) -> None:
        print(_first_steps(link, is_terminal=sys.stdout.isatty()), flush=True)

    async def work(stop: asyncio.Event) -> None:
        def ready(_urls: dict[str, str]) -> None:
            print_addresses(settings, services)

        await all_in_one.run(settings, stop, services=services, ready=ready, first_link=show)

    run_command(lambda: run_until_signal(work))


def _first_steps(link: str, *, is_terminal: bool) -> str:
    """Return what the terminal says while nobody can log in; a log that is kept does not get the link."""
    if is_terminal:
        return f"  Nobody can log in yet. This link makes you the administrator, once:\n  {link}\n"
    return "  Nobody can log in yet. `earshot people reset admin` prints a link for the administrator.\n"
