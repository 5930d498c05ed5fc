"""`earshot simulate`: what a program would have decided about past events."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import rich.progress
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.programs.field_types import Duration
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TriggerPayload
from services.trigger.handlers.events import read_event
from services.trigger.repository import past_events, suppressions
from services.trigger.repository import programs as stored_programs
from services.trigger.simulation import report
from services.trigger.simulation.simulate import Simulation, SimulationOutcome
from shared.clock import open_clock
from shared.contract.cloudevents import Event
from shared.contract.topics import CRM_EVENTS
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message

app = typer.Typer()
console = Console(highlight=False)

_Amount = Annotated[str, typer.Option(help="In your currency, such as 0.05.")]


@dataclass(frozen=True, slots=True)
class _Past:
    """The input of a simulation."""

    programs: Mapping[str, CompiledProgram] = field(default_factory=dict)
    events: Sequence[Event[TriggerPayload]] = ()
    respondents: Mapping[str, Respondent] = field(default_factory=dict)
    suppressions: Mapping[str, Sequence[KnownSuppression]] = field(default_factory=dict)


@app.command()
def simulate(  # noqa: PLR0913 - options of a command
    program: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The program to simulate, a YAML file.")],
    *,
    events: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CloudEvents, one JSON object per line.")
    ] = None,
    since: Annotated[str, typer.Option(help="Decide about the stored events since then, such as 90d.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Without the other programs; needs no database.")] = False,
    sms_price: _Amount = "0",
    call_price: _Amount = "0",
    out: Annotated[Path | None, typer.Option(file_okay=False, help="A folder for asked.csv and days.csv.")] = None,
) -> None:
    """Decide about past events without sending: print who would be asked, when and at what cost, and who would not."""
    if (events is None) == (not since) or (since and alone):
        raise typer.BadParameter("give either --events FILE or --since 90d; --alone only works with --events")
    candidate, settings = _read(program), TriggerSettings()
    prices = report.Prices(_price(sms_price), _price(call_price))
    past = asyncio.run(_load(settings, _duration(since) if since else None)) if not alone else _Past()
    if events is not None:
        past = _Past(past.programs, _from_file(events))
    if not past.events:
        typer.echo("no events: none are stored since then, or the file is empty", err=True)
        raise typer.Exit(1)
    after = _run({**past.programs, candidate.id: candidate}, past, settings=settings.installation, name="this")
    before = None if alone else _run(past.programs, past, settings=settings.installation, name="now")
    report.show(console, candidate, after=after, before=before, current=past.programs.get(candidate.id), prices=prices)
    if out is not None:
        report.write(out, after.of(candidate.id))


def _run(
    programs: Mapping[str, CompiledProgram], past: _Past, *, settings: InstallationSettings, name: str
) -> SimulationOutcome:
    simulation = Simulation(programs, respondents=past.respondents, suppressions=past.suppressions, settings=settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    gc.freeze()  # the input lives until the end, so collecting it would only cost time
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for event in progress.track(past.events, description=name):
            simulation.add(event)
    return simulation.outcome


async def _load(settings: TriggerSettings, since: timedelta | None) -> _Past:
    async with open_for_command(settings, Service.TRIGGER) as database, database.sessions() as session:
        current = await stored_programs.current(session)
        if since is None:
            return _Past(current)
        start = open_clock(settings.clock).now() - since
        events = await past_events.events_since(session, start)
        people = await past_events.respondents_at(session, start, events)
        known, _ = await suppressions.find(session, people)
        return _Past(current, events, people, known)


def _from_file(path: Path) -> list[Event[TriggerPayload]]:
    """Read the events and sort them by time; invalid lines are printed and left out."""
    read: list[Event[TriggerPayload]] = []
    with rich.progress.open(path, "rb", description="read", console=Console(stderr=True)) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                event = read_event(Message(CRM_EVENTS.name, "", line)) if line.strip() else None
            except InvalidEvent as error:
                typer.echo(f"{path}: line {number}: {error}", err=True)
            else:
                read += [Event(event.id, event.source, event.time, event.payload, event.subject)] if event else []
    return sorted(read, key=lambda event: event.time)


def _read(path: Path) -> CompiledProgram:
    try:
        return compile_program(0, read_program(path.read_bytes()))
    except InvalidProgram as error:
        for mistake in error.mistakes:
            typer.echo(f"{path}: {mistake}", err=True)
        raise typer.Exit(1) from None


def _duration(written: str) -> timedelta:
    try:
        return TypeAdapter(Duration).validate_python(written)
    except ValidationError:
        raise typer.BadParameter("--since: expected a number and a unit, such as 90d") from None


def _price(written: str) -> Decimal:
    try:
        return Decimal(written)
    except ArithmeticError:
        raise typer.BadParameter("expected a price as a number, such as 0.05") from None
