"""The command `earshot`: the names of its commands; the module of one is loaded only when it is run.

Loading all of them takes more than a second of the processor, which a command would spend before it begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from dotenv import dotenv_values
from typer.core import TyperGroup

from deploy.commands import fail
from deploy.commands.recorded import record
from shared.garbage import collection_paused, tune_gc

_MODULES: Mapping[str, Mapping[str, str]] = {
    "deploy.commands.run": {
        "run": "Run one service or all of them until Ctrl-C.",
    },
    "deploy.commands.demo": {
        "demo": "Run a sample shop on which weeks of surveys pass in a minute.",
    },
    "deploy.commands.replay": {
        "replay": "Send a recorded year of a real shop through all services and print a table that compares their "
        "numbers.",
    },
    "deploy.commands.doctor": {
        "doctor": "Check settings, databases, the event log and running services, and say how to repair what is wrong.",
    },
    "deploy.commands.migrate": {
        "migrate": "Migrate schemas to their newest revision, with EARSHOT_MIGRATE_URL where that is set.",
    },
    "deploy.commands.retention": {
        "retention": "Delete decisions, surveys and answers that are past retention, as the services do every hour.",
    },
    "deploy.commands.topics": {
        "topics": "Print or create the Kafka topics with their partitions, retention and clean-up policy.",
    },
    "deploy.commands.keys": {
        "keys": "API keys for machines.",
    },
    "deploy.commands.audit": {
        "audit": "The audit logs of all services.",
    },
    "deploy.commands.schemas": {
        "schemas": "Write the contract's JSON Schemas to docs/events/.",
    },
    "services.trigger.commands.programs": {
        "programs": "Programs, which define who is asked what, when and how often.",
    },
    "services.trigger.commands.simulation": {
        "simulate": "Decide about past events without sending: print who would be asked, when and at what cost, and "
        "who would not.",
    },
    "services.trigger.commands.files": {
        "ingest": "Decide the events of a file, or of every file put into a folder until Ctrl-C.",
        "backfill": "Add past events from a file to the history; they start no surveys.",
    },
    "services.trigger.commands.erasures": {
        "erasures": "Erasures of customers, which a restored backup does not know.",
    },
    "services.dispatcher.commands.invitations": {
        "invitation": "Print the history of one invitation: its steps, attempts, reasons and outcome.",
        "counts": "Count invitations by outcome, and steps by channel and state; without those that never began.",
        "stalled": "Print stalled invitations: open ones for which nothing is planned. Exits with 1 when there is one.",
        "mail": "Print a sample mail, or send it as a test.",
        "suppressions": "Respondents who are not contacted, and why.",
    },
    "services.dispatcher.commands.ledger": {
        "ledger": "Compare the ledger of what was sent with the event log, and repair it.",
    },
    "services.scoring.commands.verify": {
        "verify": "Recompute all figures from the answers and compare; exits with 1 when they differ.",
    },
    "services.scoring.commands.exports": {
        "export": "Export answers and figures to files.",
    },
    "services.scoring.commands.imports": {
        "import": "Import the scores of an older tool.",
    },
    "services.scoring.commands.stores": {
        "stores": "The list of stores, from and to CSV files.",
    },
    "services.scoring.commands.people": {
        "people": "Who may log in, and what they may do.",
    },
    "services.scoring.commands.webhooks": {
        "webhooks": "Endpoints that receive answers and alerts over HTTP.",
    },
    "deploy.operations.parked": {
        "parked": "List messages that could not be handled, and handle them again.",
    },
    "deploy.operations.links": {
        "links": "Find and repair links in sent messages that scoring does not know.",
    },
}
"""The help of each command by its name, for each module; the module's `app` defines them."""

COMMANDS: Mapping[str, str] = {name: module for module, commands in _MODULES.items() for name in commands}


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`, of which only the one that is run is loaded."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, named, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else named, rest


def load_command(name: str) -> Any:
    """Return the command or group of this name, which writes to the audit log what it changes and exports."""
    with collection_paused():
        group = typer.main.get_group(import_module(COMMANDS[name]).app)
    command = group.commands.get(name, group)
    record(command, name)
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, help="Event-driven NPS.")
for _commands in _MODULES.values():
    for _name, _help in _commands.items():
        app.command(_name, help=_help)(lambda: None)


def main() -> None:
    tune_gc()
    if sys.argv[1:] and "--help" not in sys.argv:
        _refuse_unknown_settings()
    try:
        app(prog_name="earshot")
    except Exception as error:
        from deploy.operations.error_messages import explain  # noqa: PLC0415 - see the module

        if (fault := explain(error)) is None:
            raise
        fail(fault)


def _refuse_unknown_settings() -> None:
    from deploy.setting_names import unknown_settings  # noqa: PLC0415 - see the module

    environment = {**{k: v or "" for k, v in dotenv_values(".env").items()}, **os.environ}
    if unknown := unknown_settings(environment):
        fail(f"no such setting: {', '.join(unknown)}; .env.example lists them all")


if __name__ == "__main__":
    main()
