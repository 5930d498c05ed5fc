"""`earshot import answers`: imports scores of another survey tool from CSV or JSON Lines files."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from zoneinfo import ZoneInfo

import typer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.scoring.commands.progress import Advance, progress_bar
from services.scoring.config import ScoringSettings
from services.scoring.domain.history import ImportedScore, PublishedProgram
from services.scoring.files import imports, tables
from services.scoring.files.exports import SEGMENT
from services.scoring.files.tables import CannotWrite
from services.scoring.repository import programs
from shared.contract.events import Id, Segments
from shared.contract.vocabulary import Service
from shared.database.db import Sessions
from shared.database.opening import open_for_command
from shared.messaging.codec import describe_errors
from shared.zones import time_zone

app = typer.Typer(no_args_is_help=True, help="Import the scores of an older tool.")

BATCH = 500
_Text = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")]


class _Line(BaseModel):
    """The fields of one imported line; `answered_at` without a time is read as noon in the program's time zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    external_id: Id
    score: Annotated[int, Field(ge=0, le=10)]
    answered_at: AwareDatetime | date
    customer_id: Id | None = None
    comment: _Text | None = None
    reasons: Annotated[list[Id], Field(max_length=50)] = []
    segments: Segments = {}

    def score_in(self, zone: ZoneInfo) -> ImportedScore:
        day = self.answered_at
        at = day if isinstance(day, datetime) else datetime.combine(day, time(12), zone)
        return ImportedScore(
            self.external_id,
            self.score,
            at.astimezone(UTC),
            self.customer_id,
            self.reasons,
            self.comment,
            self.segments,
        )


Lines = Iterator[tuple[int, Mapping[str, Any] | str]]  # line number, and the fields of the line or its parse error


@dataclass(slots=True)
class ImportReport:
    stored: int = 0
    repeated: int = 0
    refused: int = 0


@app.command("answers")
def import_answers(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a header line, or .jsonl.")],
    *,
    program: Annotated[str, typer.Option(help="Program of the scores; it must be published.")],
) -> None:
    """Store scores on their own days, with the mode `imported`; the same file twice changes nothing."""
    refusals = file.with_name(file.name + ".refused.csv")
    try:
        with progress_bar("bytes") as advance:
            report = asyncio.run(_import(file, program, refusals, advance))
    except (LookupError, CannotWrite, UnicodeDecodeError) as error:
        why = "the file is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.args[0]
        typer.echo(f"earshot: {why}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{report.stored} stored, {report.repeated} were stored before, {report.refused} refused")
    if not report.refused:
        refusals.unlink()
        return
    typer.echo(f"reasons: {refusals}")
    raise typer.Exit(1)


async def _import(file: Path, program: str, refusals: Path, advance: Advance) -> ImportReport:
    async with open_for_command(ScoringSettings(), Service.SCORING, pool_size=2) as database:
        async with database.sessions.begin() as session:
            published = await programs.published(session, program)
        if published is None:
            raise LookupError(f"program {program} is not published")
        tables.create_empty(refusals, name=refusals)
        with file.open("rb") as source, refusals.open("w", newline="") as report_file:
            writer = csv.writer(report_file)
            writer.writerow(["line", "why"])
            return await import_lines(
                database.sessions,
                published,
                read_lines(source, file.suffix),
                refuse=lambda number, why: writer.writerow([number, why]),
                advance=lambda: advance(source.tell(), os.fstat(source.fileno()).st_size),
            )


async def import_lines(
    sessions: Sessions,
    program: PublishedProgram,
    lines: Lines,
    *,
    refuse: Callable[[int, str], object],
    advance: Callable[[], None] = lambda: None,
) -> ImportReport:
    """Import lines in transactions of `BATCH`; `refuse` gets the line number and error of each invalid line."""
    report, zone = ImportReport(), time_zone(program.time_zone)
    while chunk := list(islice(lines, BATCH)):
        scores = []
        for number, fields in chunk:
            try:
                scores.append(_parsed(fields).score_in(zone))
            except ValueError as error:
                refuse(number, describe_errors(error) if isinstance(error, ValidationError) else str(error))
                report.refused += 1
        async with sessions.begin() as session:
            stored = await imports.store(session, program, scores)
        report.stored += stored
        report.repeated += len(scores) - stored
        advance()
    return report


def _parsed(fields: Mapping[str, Any] | str) -> _Line:
    """Validate the fields of a line; raises ValueError for a parse error or an invalid field."""
    if isinstance(fields, str):
        raise ValueError(fields)  # noqa: TRY004 - the line could not be split into fields
    return _Line.model_validate(fields)


def read_lines(source: BinaryIO, suffix: str) -> Lines:
    """Yield the lines of a JSON Lines file (`.jsonl`, `.ndjson`) or else a CSV file; raises UnicodeDecodeError."""
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    yield from _jsonl(text) if suffix in (".jsonl", ".ndjson") else _csv(text)
    text.detach()  # otherwise the wrapper closes the file


def _jsonl(text: io.TextIOWrapper) -> Lines:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        yield number, found if isinstance(found, dict) else "not a JSON object"


def _csv(text: io.TextIOWrapper) -> Lines:
    """Yield the non-empty cells of CSV rows by column name, with `segments` as a dict and `reasons` as a list."""
    reader = csv.DictReader(text, strict=False)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"not CSV: {error}"
            continue
        if None in row or None in row.values():
            yield reader.line_num, "more or fewer cells than the header"
            continue
        filled = {name: value for name, value in row.items() if value != ""}
        fields: dict[str, Any] = {name: value for name, value in filled.items() if not name.startswith(SEGMENT)}
        fields["segments"] = {
            name.removeprefix(SEGMENT): value for name, value in filled.items() if name.startswith(SEGMENT)
        }
        if "reasons" in fields:
            fields["reasons"] = [each.strip() for each in fields["reasons"].split(";") if each.strip()]
        yield reader.line_num, fields
