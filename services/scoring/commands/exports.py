"""`earshot export`: writes answers and daily scores to files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from services.scoring.commands.progress import Advance, progress_bar
from services.scoring.config import ScoringSettings
from services.scoring.files import exports
from services.scoring.files.tables import CannotWrite, Format, ParquetMissing
from services.scoring.repository.listing import AnswerFilter
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind, Service, counted
from shared.database.opening import open_for_command
from shared.database.session import Sessions

app = typer.Typer(no_args_is_help=True, help="Export answers and figures to files.")

Out = Annotated[
    Path, typer.Argument(metavar="FILE", dir_okay=False, help="A complete export replaces an existing file.")
]
Kind = Annotated[Format | None, typer.Option("--format", help="By default, from the file's extension.")]
Program = Annotated[str | None, typer.Option(help="Only this program.")]
From = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"])]
To = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@app.command("answers")
def export_answers(  # noqa: PLR0913 - one option each
    file: Out,
    *,
    kind: Kind = None,
    program: Program = None,
    from_: From = None,
    to: To = None,
    category: Category | None = None,
    channel: ChannelKind | None = None,
    mode: AnswerMode | None = None,
    suspect: Annotated[bool | None, typer.Option("--suspect/--no-suspect")] = None,
    quotable: Annotated[bool | None, typer.Option("--quotable/--not-quotable")] = None,
    tag: Annotated[str | None, typer.Option(help="Only answers with this tag.")] = None,
    words: Annotated[
        str | None, typer.Option(help='Only comments with these words: cold coffee, "cold coffee".')
    ] = None,
) -> None:
    """Export one row per answer."""
    first, last = from_ and from_.date(), to and to.date()
    answer_filter = AnswerFilter(
        program, first, last, category, channel, mode, suspect, words=words, tag=tag and tag.lower(), quotable=quotable
    )
    _export(
        file,
        kind,
        program,
        lambda sessions, of, bar: exports.answers(sessions, answer_filter, file, kind=of, progress=bar),
    )


@app.command("nps")
def export_nps(
    file: Out,
    *,
    kind: Kind = None,
    program: Program = None,
    from_: From = None,
    to: To = None,
) -> None:
    """Export one row per program, dimension, value and day."""
    answer_filter = AnswerFilter(program, from_ and from_.date(), to and to.date())
    _export(
        file, kind, program, lambda sessions, of, bar: exports.nps(sessions, answer_filter, file, kind=of, progress=bar)
    )


def _export(
    file: Path, kind: Format | None, program: str | None, write: Callable[[Sessions, Format, Advance], Awaitable[int]]
) -> None:
    async def run(bar: Advance) -> int:
        async with open_for_command(ScoringSettings(), Service.SCORING, pool_size=2) as database:
            return await write(database.sessions, kind or _format_of(file), bar)

    try:
        with progress_bar("rows") as bar:
            rows = asyncio.run(run(bar))
    except (ParquetMissing, CannotWrite) as error:
        typer.echo(f"earshot: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{counted(rows, 'row')} in {file}")
    if not rows and program:
        typer.echo(f"no rows of program {program}; `earshot programs list` shows the programs", err=True)


def _format_of(file: Path) -> Format:
    ending = file.suffix.removeprefix(".")
    if ending not in {*Format}:
        raise typer.BadParameter(f"the name must end in .csv, .xlsx or .parquet, or give --format: {file.name}")
    return Format(ending)
