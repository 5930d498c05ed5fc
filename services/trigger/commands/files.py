"""`earshot ingest` and `earshot backfill`: events from files."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from services.trigger.config import TriggerSettings
from services.trigger.domain.sources.mapping import compile_mapping
from services.trigger.domain.sources.source import InvalidSource, Source, SourceKind, read_mapping
from services.trigger.files.ingest import FileIngest, IngestMode, IngestReport, unused_path
from services.trigger.files.reading import SUFFIXES, InvalidFile
from services.trigger.handlers.intake import EventIntake
from shared.contract.vocabulary import Service, counted
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command

app = typer.Typer()

POLL_S = 1.0
SETTLED_S = 2.0  # a file modified within this time may be incomplete

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or JSON lines.")]
_Mapping = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A mapping, for files in another format.")
]
_Name = Annotated[str, typer.Option("--source", help="The source of events that do not name one.")]
_Again = Annotated[bool, typer.Option("--again", help="Start at the first line instead of where an earlier run ended.")]

T = TypeVar("T")


@app.command("backfill")
def backfill(file: _File, *, mapping: _Mapping = None, source: _Name = "file", again: _Again = False) -> None:
    """Add past events from a file to the history; they start no surveys."""
    _process_one(file, IngestMode.BACKFILL, _source(source, mapping), again=again)


@app.command("ingest")
def ingest(
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="CSV or JSON lines.")] = None,
    *,
    mapping: _Mapping = None,
    source: _Name = "file",
    again: _Again = False,
    watch: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder whose new files are read.")
    ] = None,
) -> None:
    """Decide the events of a file, or of every file put into a folder until Ctrl-C."""
    if (file is None) == (watch is None):
        raise typer.BadParameter("give either a file, or a folder with --watch")
    source_ = _source(source, mapping)
    if file is not None:
        _process_one(file, IngestMode.INGEST, source_, again=again)
    elif watch is not None:
        _with_intake(lambda intake: _watch(intake, watch, source_))


def _source(name: str, mapping: Path | None) -> Source:
    try:
        read = compile_mapping(read_mapping(mapping.read_bytes())) if mapping else None
    except InvalidSource as error:
        typer.echo(f"{mapping}: {error}", err=True)
        raise typer.Exit(2) from None
    return Source(name, SourceKind.GENERIC, read=read)


def _process_one(path: Path, mode: IngestMode, source: Source, *, again: bool) -> None:
    report = _with_intake(lambda intake: _process(FileIngest(intake, path, mode, source), again=again))
    raise typer.Exit(1 if report.refused else 0)


async def _process(ingestion: FileIngest, *, again: bool = False) -> IngestReport:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(ingestion.path.name, total=ingestion.path.stat().st_size)
        report = await ingestion.run(again=again, progress=lambda offset: progress.update(task, completed=offset))
    _print(ingestion, report)
    return report


def _print(ingestion: FileIngest, report: IngestReport) -> None:
    if report.resumed_at:
        print(f"{ingestion.path}: resumed after line {report.resumed_at}")
    reasons = ", ".join(f"{reason} {number}" for reason, number in report.reasons.most_common())
    total = report.reasons.total()
    seen = f", {total - report.known} new, {report.known} known" if report.known else ""
    print(f"{ingestion.path}: {counted(total, 'event')} decided{seen}{f': {reasons}' if reasons else ''}")
    if report.ignored:
        print(f"{ingestion.path}: {counted(report.ignored, 'record')} ignored by the mapping")
    if report.refused:
        print(f"{ingestion.path}: {counted(report.refused, 'line')} refused, see {ingestion.refusals_path}")
    if report.refused_before:
        print(
            f"{ingestion.path}: {counted(report.refused_before, 'line')} refused before, see {ingestion.refusals_path}"
        )


async def _watch(intake: EventIntake, folder: Path, source: Source) -> None:
    (folder / "done").mkdir(exist_ok=True)
    print(f"waiting for files in {folder}", flush=True)
    while True:
        await process_waiting(intake, folder, source, at=time.time())
        await asyncio.sleep(POLL_S)


async def process_waiting(intake: EventIntake, folder: Path, source: Source, *, at: float) -> None:
    """Process every complete file in the folder and move it to `done`; `at` is machine time, Unix seconds."""
    for path in _complete_files(folder, at=at):
        ingestion = FileIngest(intake, path, IngestMode.INGEST, source)
        try:
            await _process(ingestion)
        except InvalidFile as error:
            typer.echo(str(error), err=True)
        except OSError as error:  # the file stays in the folder and is tried again
            typer.echo(f"{path}: {error.strerror}", err=True)
            continue
        path.rename(unused_path(folder / "done" / path.name, stem=path.stem))


def _complete_files(folder: Path, *, at: float) -> list[Path]:
    named = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
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
