"""The command `earshot`: the commands of each service, and commands that concern several services."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from dotenv import dotenv_values

from deploy import all_in_one, contract, databases
from deploy.demo import shop
from deploy.operations import doctor, error_messages, links, parked, replay
from services.dispatcher.commands import app as dispatcher_commands
from services.dispatcher.commands.ledger import app as ledger_commands
from services.dispatcher.config import DispatcherSettings
from services.scoring.commands import app as scoring_commands
from services.scoring.config import ScoringSettings
from services.trigger.commands import app as trigger_commands
from services.trigger.commands.files import app as file_commands
from services.trigger.commands.keys import app as key_commands
from services.trigger.config import TriggerSettings
from shared import logging
from shared.config import Settings
from shared.contract import topics
from shared.contract.vocabulary import Service
from shared.runtime import kafka_security, run_until_signal, tune_gc

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Event-driven NPS.")
app.add_typer(trigger_commands)
app.add_typer(dispatcher_commands)
app.add_typer(scoring_commands)
app.add_typer(file_commands)
app.add_typer(key_commands, name="keys")
app.add_typer(parked.app, name="parked")
app.add_typer(links.app, name="links")
app.add_typer(ledger_commands, name="ledger")

_RESERVED = ("EARSHOT_TEST_", "EARSHOT_REQUIRE_")


class Which(StrEnum):
    ALL = "all"
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"


class Schema(StrEnum):
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"
    TRANSPORT = databases.TRANSPORT


class Transport(StrEnum):
    POSTGRES = "postgres"
    KAFKA = "kafka"


@app.command()
def run(which: Annotated[Which, typer.Argument()] = Which.ALL) -> None:
    """Run one service or all of them until Ctrl-C."""
    services = all_in_one.ALL if which is Which.ALL else (Service(which.value),)
    settings = all_in_one.AllSettings.from_environment()
    if settings.trigger.environment == "production" and (fault := doctor.problem_of_secrets(settings.trigger)):
        _fail(fault)
    logging.configure(settings.trigger.log_level, service=which.value)

    async def work(stop: asyncio.Event) -> None:
        await all_in_one.run(
            settings, stop, services=services, ready=lambda _urls: shop.print_addresses(settings, services)
        )

    _run(lambda: run_until_signal(work))


@app.command()
def demo(
    events: Annotated[Transport, typer.Option(help="How events are transported.")] = Transport.POSTGRES,
    seconds: Annotated[int, typer.Option(help="Stop after so many seconds; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Run a sample shop on which weeks of surveys pass in a minute."""
    logging.configure("error", service="demo")
    _run(lambda: shop.demo(kafka=events is Transport.KAFKA, seconds=seconds))


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
    _run(lambda: replay.command(kafka=events is Transport.KAFKA, baskets=baskets))


@app.command()
def migrate(
    which: Annotated[
        list[Schema] | None, typer.Argument(help="Only these schemas; by default all that are used here.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Migrate a temporary empty server up, down and up.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the catalogue file of a new revision.")] = False,
) -> None:
    """Migrate schemas to their newest revision, with EARSHOT_MIGRATE_URL where that is set."""
    if check:
        _run(databases.check_migrations)
    elif write:
        _run(databases.write_catalogues)
    else:
        _run(lambda: _migrate(Settings(), which))


async def _migrate(settings: Settings, which: Sequence[Schema] | None) -> None:
    used = [*map(str, all_in_one.ALL), *([] if settings.events_url else [databases.TRANSPORT])]
    schemas = list(map(str, which)) if which else used
    own = settings.migrate_url
    if not own:
        databases.refuse_migration(settings.database_options)
    urls = dict.fromkeys(schemas, own) if own else await databases.urls_for(settings, schemas)
    for schema, fingerprint in (await databases.migrate(urls)).items():
        print(f"{schema}: {fingerprint}")


@app.command("topics")
def kafka_topics(
    *,
    create: Annotated[
        bool, typer.Option("--create/--print", help="Create the topics, or print the commands that do.")
    ] = False,
) -> None:
    """Print or create the Kafka topics with their partitions, retention and clean-up policy."""
    settings = Settings()
    if create:
        _run(lambda: _create_topics(settings))
    else:
        print("\n".join(topics.create_commands(topic_prefix=settings.topic_prefix)))


async def _create_topics(settings: Settings) -> None:
    from shared.messaging.transport.kafka import create_topics  # noqa: PLC0415 - aiokafka is loaded only where it is used

    made = await create_topics(
        settings.events_url,
        topics.TOPICS,
        topic_prefix=settings.topic_prefix,
        security=kafka_security(settings),
    )
    print(f"{len(made)} topics created, {len(topics.TOPICS) - len(made)} existed")


@app.command()
def schemas(
    *, check: Annotated[bool, typer.Option("--check", help="Only check that docs/events/ is up to date.")] = False
) -> None:
    """Write the contract's JSON Schemas to docs/events/."""
    if not check:
        contract.write()
    elif stale := contract.drift():
        _fail(f"docs/events/ is out of date ({', '.join(stale)}): run `make schemas`")


@app.command("doctor")
def examine() -> None:
    """Check settings, databases, the event log and running services, and say how to repair what is wrong."""
    _run(doctor.command)


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Return the names that begin with EARSHOT_ and are not settings, such as misspelt ones."""
    kinds = (TriggerSettings, DispatcherSettings, ScoringSettings)
    known = {f"EARSHOT_{field.upper()}" for kind in kinds for field in kind.model_fields}
    ours = (name for name in environment if name.startswith("EARSHOT_") and not name.startswith(_RESERVED))
    return sorted(name for name in ours if name not in known)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    try:
        tune_gc()
        uvloop.run(work())  # type: ignore[arg-type]
    except KeyboardInterrupt:  # the signal handlers were not installed yet
        raise SystemExit(130) from None


def _fail(reason: str) -> None:
    print(f"earshot: {reason}", file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    environment = {**{k: v or "" for k, v in dotenv_values(".env").items()}, **os.environ}
    if unknown := unknown_settings(environment):
        _fail(f"no such setting: {', '.join(unknown)}; .env.example lists them all")
    try:
        app(prog_name="earshot")
    except Exception as error:
        if (fault := error_messages.explain(error)) is None:
            raise
        _fail(fault)


if __name__ == "__main__":
    main()
