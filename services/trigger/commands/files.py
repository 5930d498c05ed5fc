"""`earshot ingest` and `earshot backfill`: events from files."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.trigger.config import TriggerSettings
from services.trigger.domain.sources.mapping import compile_mapping
from services.trigger.domain.sources.source import InvalidSource, Source, SourceKind, read_mapping
from services.trigger.files.ingest import FIELDS, FileIngest, IngestMode, IngestReport, unused_path
from services.trigger.handlers.intake import EventIntake
from shared.contract.vocabulary import NAMESPACE, SHARED_NAMESPACE, Service, counted
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.tables.commands import Columns, Dates, Decimals, Encoding, Header, Separator, Zone, options_of
from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile, is_readable, suffix_of

app = typer.Typer()

POLL_S = 1.0
SETTLED_S = 2.0  # a file modified within this time may be incomplete

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or JSON lines.")]
_Mapping = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A mapping, for files in another format.")
]
_Name = Annotated[str, typer.Option("--source", help="The source of events that do not name one.")]
_Namespace = Annotated[
    str, typer.Option(help="Whose customers' ids a mapped file has; default: its source, `shared`: those of events.")
]
_Again = Annotated[bool, typer.Option("--again", help="Start at the first line instead of where an earlier run ended.")]

T = TypeVar("T")


@app.command("backfill")
def backfill(  # noqa: PLR0913 - one option each
    file: _File,
    *,
    mapping: _Mapping = None,
    source: _Name = "file",
    namespace: _Namespace = "",
    again: _Again = False,
    columns: Columns = None,
    zone: Zone = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    dates: Dates = None,
    decimals: Decimals = None,
) -> None:
    """Add past events from a file to the history; they start no surveys."""
    options = options_of(columns, zone, encoding, separator, header, dates, decimals)
    _process_one(file, IngestMode.BACKFILL, _source(source, mapping, namespace), options, again=again)


@app.command("ingest")
def ingest(  # noqa: PLR0913 - one option each
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="CSV or JSON lines.")] = None,
    *,
    mapping: _Mapping = None,
    source: _Name = "file",
    namespace: _Namespace = "",
    again: _Again = False,
    watch: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder whose new files are read.")
    ] = None,
    columns: Columns = None,
    zone: Zone = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    dates: Dates = None,
    decimals: Decimals = None,
) -> None:
    """Decide the events of a file, or of every file put into a folder until Ctrl-C."""
    if (file is None) == (watch is None):
        raise typer.BadParameter("give either a file, or a folder with --watch")
    options = options_of(columns, zone, encoding, separator, header, dates, decimals)
    source_ = _source(source, mapping, namespace)
    if file is not None:
        _process_one(file, IngestMode.INGEST, source_, options, again=again)
    elif watch is not None:
        _with_intake(lambda intake: _watch(intake, watch, source_, options))


def _source(name: str, mapping: Path | None, namespace: str) -> Source:
    try:
        read = compile_mapping(read_mapping(mapping.read_bytes())) if mapping else None
    except InvalidSource as error:
        typer.echo(f"{mapping}: {error}", err=True)
        raise typer.Exit(2) from None
    if namespace and not read:
        raise typer.BadParameter("--namespace needs --mapping; other files name it in customer.namespace")
    if namespace and not NAMESPACE.fullmatch(namespace):
        raise typer.BadParameter("--namespace: expected up to 50 lower-case letters, digits, dots, dashes, underscores")
    own = (namespace or name) if read else SHARED_NAMESPACE
    return Source(name, SourceKind.GENERIC, namespace=own, read=read)


def _process_one(path: Path, mode: IngestMode, source: Source, options: TableOptions, *, again: bool) -> None:
    try:
        suffix_of(path)
    except InvalidFile as error:  # said before the database is opened
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    ingestion = _ingestion(path, mode, source, options)
    report = _with_intake(lambda intake: _process(ingestion(intake), again=again))
    raise typer.Exit(1 if report.refused else 0)


def _ingestion(
    path: Path, mode: IngestMode, source: Source, options: TableOptions
) -> Callable[[EventIntake], FileIngest]:
    unique = FIELDS.unique if source.read is None else frozenset[str]()
    return lambda intake: FileIngest(intake, path, mode, source, replace(options, unique=unique))


async def _process(ingestion: FileIngest, *, again: bool = False) -> IngestReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"{ingestion.path.name}, lines", total=None)
        report = await ingestion.run(again=again, progress=lambda line: progress.update(task, completed=line))
    _print(ingestion, report)
    return report


def _print(ingestion: FileIngest, report: IngestReport) -> None:
    reasons = ", ".join(f"{reason} {number}" for reason, number in report.reasons.most_common())
    known = f", {report.known} known before" if report.known else ""
    decided = f"{counted(report.stored, 'event')} decided{known}{f': {reasons}' if reasons else ''}"
    for text in report.texts(decided, refusals=ingestion.refusals_path):
        print(f"{ingestion.path}: {text}")


async def _watch(intake: EventIntake, folder: Path, source: Source, options: TableOptions) -> None:
    (folder / "done").mkdir(exist_ok=True)
    print(f"waiting for files in {folder}", flush=True)
    while True:
        await process_waiting(intake, folder, source, options, at=time.time())
        await asyncio.sleep(POLL_S)


async def process_waiting(
    intake: EventIntake, folder: Path, source: Source, options: TableOptions = FIELDS, *, at: float
) -> None:
    """Process every complete file in the folder and move it to `done`; `at` is machine time, Unix seconds."""
    for path in _complete_files(folder, at=at):
        ingestion = _ingestion(path, IngestMode.INGEST, source, options)(intake)
        try:
            await _process(ingestion)
        except InvalidFile as error:
            typer.echo(str(error), err=True)
        except OSError as error:  # the file stays in the folder and is tried again
            typer.echo(f"{path}: {error.strerror}", err=True)
            continue
        path.rename(unused_path(folder / "done" / path.name, stem=path.stem))


def _complete_files(folder: Path, *, at: float) -> list[Path]:
    named = (path for path in sorted(folder.iterdir()) if is_readable(path))
    wanted = (path for path in named if not path.name.startswith(".") and not path.name.endswith(".refused.csv"))
    return [path for path in wanted if _is_complete(path, at=at)]


def _is_complete(path: Path, *, at: float) -> bool:
    """Whether this is a regular file that was not modified within SETTLED_S."""
    try:
        status = path.stat()
    except OSError:  # deleted meanwhile, or not accessible
        return False
    return stat.S_ISREG(status.st_mode) and at - status.st_mtime >= SETTLED_S


def _with_intake(work: Callable[[EventIntake], Awaitable[T]]) -> T:
    try:
        return asyncio.run(_open_and_work(TriggerSettings(), work))
    except InvalidFile as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _open_and_work(settings: TriggerSettings, work: Callable[[EventIntake], Awaitable[T]]) -> T:
    async with open_for_command(settings, Service.TRIGGER, pool_size=2) as database:
        clock = await open_command_clock(settings.clock, database)
        return await work(EventIntake(database.sessions, clock, settings.installation))
