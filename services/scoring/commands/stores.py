"""`earshot stores`: the list of stores, from and to CSV files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from services.scoring.config import ScoringSettings
from services.scoring.domain.stores.store import Store
from services.scoring.files import stores as files
from services.scoring.files.uploads import MOST_BYTES
from services.scoring.repository.stores import listed
from services.scoring.stores import saving
from services.scoring.stores.saving import ImportResult
from shared.contract.vocabulary import Service, counted
from shared.database.opening import open_for_command
from shared.tables.opening import InvalidFile

app = typer.Typer(no_args_is_help=True, help="The list of stores, from and to CSV files.")
_SHOWN = 50


@app.command("import")
def import_stores(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV whose first line names the columns.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be added, changed and left.")] = False,
    good_only: Annotated[
        bool, typer.Option("--good-only", help="Store the good lines although others are bad.")
    ] = False,
) -> None:
    """Add and change the stores of a file; nothing is stored when a line is bad. Exits with 1 then."""
    try:
        result = asyncio.run(_import(file, dry_run=dry_run, good_only=good_only))
    except (InvalidFile, OSError) as error:
        typer.echo(f"earshot: {file}: {error.strerror if isinstance(error, OSError) else error}", err=True)
        raise typer.Exit(1) from None
    typer.echo("\n".join(_report(result, dry_run=dry_run)))
    raise typer.Exit(1 if result.plan.bad else 0)


async def _import(file: Path, *, dry_run: bool, good_only: bool) -> ImportResult:
    with file.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    async with open_for_command(ScoringSettings(), Service.SCORING) as database:
        return await saving.import_file(database.sessions, content, dry_run=dry_run, good_only=good_only)


def _report(result: ImportResult, *, dry_run: bool) -> Iterator[str]:
    plan = result.plan
    would = "" if result.stored else "would be "
    yield f"{len(plan.added)} {would}added, {len(plan.changed)} {would}changed, {plan.left} left as they are"
    yield result.layout
    yield from _first([f"  add     {store.code}  {store.name}" for store in plan.added])
    yield from _first([f"  change  {each.store.code}  {', '.join(each.fields)}" for each in plan.changed])
    if result.ignored:
        yield f"columns not used: {', '.join(result.ignored)}"
    yield from (f"  line {each.line}: {each.reason}" for each in plan.bad)
    if plan.bad:
        stored = "only the others are stored" if result.stored else "nothing is stored"
        yield f"{counted(len(plan.bad), 'bad line')}, {stored}"
    elif dry_run:
        yield "a dry run: nothing is stored"


def _first(lines: list[str]) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"  … {len(lines) - _SHOWN} more"


@app.command("export")
def export_stores(
    file: Annotated[Path | None, typer.Argument(dir_okay=False, help="By default, the standard output.")] = None,
) -> None:
    """Write all stores as a CSV file that `import` reads."""
    stores = list(asyncio.run(_read()).values())
    if file is None:
        text = StringIO()
        files.write(text, stores)
        typer.echo(text.getvalue(), nl=False)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            files.write(opened, stores)
    except OSError as error:
        typer.echo(f"earshot: {file} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{counted(len(stores), 'store')} in {file}")


async def _read() -> dict[str, Store]:
    async with (
        open_for_command(ScoringSettings(), Service.SCORING) as database,
        database.sessions.begin() as session,
    ):
        return await listed.read(session)
