"""`earshot migrate`, `topics` and `schemas`: prepare databases, Kafka topics and the files of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from deploy import all_in_one, contract, databases
from deploy.commands import fail
from shared.config import Settings
from shared.contract import topics
from shared.runtime import kafka_security, run_command

app = typer.Typer()


class Schema(StrEnum):
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"
    TRANSPORT = databases.TRANSPORT


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
        run_command(databases.check_migrations)
    elif write:
        run_command(databases.write_catalogues)
    else:
        run_command(lambda: _migrate(Settings(), which))


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
        run_command(lambda: _create_topics(settings))
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
        fail(f"docs/events/ is out of date ({', '.join(stale)}): run `make schemas`")
