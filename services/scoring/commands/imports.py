"""`earshot import answers`: imports scores of another survey tool from CSV or JSON Lines files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from services.scoring.commands.progress import Advance, progress_bar
from services.scoring.config import ScoringSettings
from services.scoring.domain.history import ImportedScore, PublishedProgram
from services.scoring.files import imports
from services.scoring.files.scores import FIELDS, RefusedScore, ScoreReader, Unanswered
from services.scoring.repository import programs
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import Service
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.database.session import Sessions
from shared.tables.commands import Columns, Dates, Decimals, Encoding, Header, Separator, Zone, options_of
from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile, suffix_of
from shared.tables.presets import PresetName, with_preset
from shared.tables.records import FileRecord, Position, inspect
from shared.tables.report import FileReport, Refusals
from shared.zones import time_zone

app = typer.Typer(no_args_is_help=True, help="Import the scores of an older tool.")

BATCH = 500


@app.command("answers")
def import_answers(  # noqa: PLR0913 - one option each
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a header line, or JSON lines.")],
    *,
    program: Annotated[str, typer.Option(help="Program of the scores; it must be published.")],
    preset: Annotated[PresetName | None, typer.Option(help="The tool that wrote the file.")] = None,
    columns: Columns = None,
    zone: Zone = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    dates: Dates = None,
    decimals: Decimals = None,
) -> None:
    """Store scores on their own days, with the mode `imported`; the same file twice changes nothing."""
    stated = options_of(columns, zone, encoding, separator, header, dates, decimals)
    job = ImportJob(file, program, with_preset(stated, preset, fields=FIELDS), skips=preset is not None)
    try:
        suffix_of(file)
        with progress_bar("lines") as advance:
            report = asyncio.run(job.run(advance))
    except (LookupError, InvalidFile, OSError) as error:
        why = f"{error.filename} cannot be written: {error.strerror}" if isinstance(error, OSError) else error.args[0]
        typer.echo(f"earshot: {why}", err=True)
        raise typer.Exit(1) from None
    summary = f"{report.stored} stored, {report.known} were stored before, {report.refused} refused"
    typer.echo("\n".join(report.texts(summary, refusals=job.refusals.path)))
    raise typer.Exit(1 if report.refused else 0)


@dataclass(frozen=True, slots=True)
class ImportJob:
    file: Path
    program: str
    options: TableOptions
    skips: bool

    @property
    def refusals(self) -> Refusals:
        return Refusals.of(self.file, column="why")

    async def run(self, advance: Advance) -> FileReport:
        """Import the file; raises LookupError for a program that is not published, InvalidFile, OSError."""
        settings = ScoringSettings()
        async with open_for_command(settings, Service.SCORING, pool_size=2) as database:
            now = (await open_command_clock(settings.clock, database)).now()
            async with database.sessions.begin() as session:
                published = await programs.published(session, self.program)
            if published is None:
                raise LookupError(f"program {self.program} is not published")
            self.refusals.path.unlink(missing_ok=True)
            keys = settings.address_fingerprints
            return await self.store(database.sessions, published, now=now, advance=advance, keys=keys)

    async def store(
        self,
        sessions: Sessions,
        program: PublishedProgram,
        *,
        now: datetime,
        keys: AddressKeys,
        advance: Advance = lambda _done, _of: None,
    ) -> FileReport:
        """Store the scores of the file in transactions of `BATCH`; raises InvalidFile."""
        file = inspect(self.file, self.options)
        has_ids = not file.is_table or "external_id" in file.layout.names
        zone = time_zone(program.time_zone)
        reader = ScoreReader(zone, now, self.options, self.skips, identifies=not has_ids, keys=keys)
        report = FileReport(layout=file.layout.describe(), ignored_as="without a score")
        records = file.records(Position())
        while batch := list(islice(records, BATCH)):
            scores, refused = read_scores(batch, reader, report)
            async with sessions.begin() as session:
                stored = await imports.store(session, program, scores)
            report.read += len(batch)
            report.stored += stored
            report.known += len(scores) - stored
            report.refuse(refused)
            self.refusals.add(refused)
            advance(batch[-1].after.line, batch[-1].after.line)
        return report


def read_scores(
    batch: Sequence[FileRecord], reader: ScoreReader, report: FileReport
) -> tuple[list[ImportedScore], list[tuple[int, str]]]:
    """Return the scores, and the numbers of lines that are refused with the reasons; count the rest in the report."""
    scores: list[ImportedScore] = []
    refused: list[tuple[int, str]] = []
    for record in batch:
        try:
            score, unused = reader.read(record)
        except RefusedScore as error:
            refused.append((record.line, str(error)))
        except Unanswered:
            report.ignored += 1
        else:
            scores.append(score)
            for name in unused:
                report.ignore_field(name)
    return scores, refused
