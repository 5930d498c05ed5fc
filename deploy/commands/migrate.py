"""`earshot migrate`: bring schemas to their newest revision."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from deploy import databases
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.runtime import run_command

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
    schemas = list(map(str, which)) if which else databases.schemas_of(settings, Service)
    own = settings.migrate_url
    if not own:
        databases.refuse_migration(settings.database_options)
    urls = dict.fromkeys(schemas, own) if own else await databases.urls_for(settings, schemas)
    for schema, upgraded in (await databases.migrate(urls)).items():
        print(f"{schema}: {upgraded}")
