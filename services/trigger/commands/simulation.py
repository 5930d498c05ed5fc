"""`earshot simulate`: what a program would have done, without sending anything."""

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
from services.trigger.domain.deciding.suppressions import StoredSuppression
from services.trigger.domain.programs.field_types import Duration
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TriggerPayload
from services.trigger.handlers.events import read_event
from services.trigger.repository import past_events, programs, suppressions
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
    """What a simulation starts from."""

    programs: Mapping[str, CompiledProgram] = field(default_factory=dict)
    events: Sequence[Event[TriggerPayload]] = ()
    respondents: Mapping[str, Respondent] = field(default_factory=dict)
    suppressions: Mapping[str, Sequence[StoredSuppression]] = field(default_factory=dict)


@app.command()
def simulate(  # noqa: PLR0913 - options of a command
    program: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The program to try, a YAML file.")],
    *,
    events: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CloudEvents as JSON, one a line.")
    ] = None,
    since: Annotated[str, typer.Option(help="Decide about what happened here since then, such as 90d.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Leave out the other programs; needs no database.")] = False,
    sms_price: _Amount = "0",
    call_price: _Amount = "0",
    out: Annotated[Path | None, typer.Option(file_okay=False, help="Write asked.csv and days.csv there.")] = None,
) -> None:
    """Decide about past events without sending: who would be asked, when, why not, and at what cost."""
    if (events is None) == (not since) or (since and alone):
        raise typer.BadParameter("give --events FILE or --since 90d, one of the two; --alone goes with --events")
    tried, settings = _read(program), TriggerSettings()
    prices = report.Prices(_price(sms_price), _price(call_price))
    before = asyncio.run(_load(settings, _duration(since) if since else None)) if not alone else _Past()
    if events is not None:
        before = _Past(before.programs, _from_file(events))
    if not before.events:
        typer.echo("there is no event to try it on: none is known since then, or the file is empty", err=True)
        raise typer.Exit(1)
    new = _run({**before.programs, tried.id: tried}, before, settings=settings.installation, name="this")
    now = None if alone else _run(before.programs, before, settings=settings.installation, name="now")
    report.show(console, tried, new=new, now=now, current=before.programs.get(tried.id), prices=prices)
    if out is not None:
        report.write(out, new.of(tried.id))


def _run(
    tried: Mapping[str, CompiledProgram], before: _Past, *, settings: InstallationSettings, name: str
) -> SimulationOutcome:
    simulation = Simulation(tried, respondents=before.respondents, suppressions=before.suppressions, settings=settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    gc.freeze()  # the past stays as it is: nothing in it needs to be collected
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for event in progress.track(before.events, description=name):
            simulation.take(event)
    return simulation.outcome


async def _load(settings: TriggerSettings, since: timedelta | None) -> _Past:
    async with open_for_command(settings, Service.TRIGGER) as database, database.sessions() as session:
        current = await programs.current(session)
        if since is None:
            return _Past(current)
        begins = open_clock(settings.clock).now() - since
        happened = await past_events.events_since(session, begins)
        people = await past_events.respondents_at(session, begins, happened)
        return _Past(current, happened, people, await suppressions.find(session, people))


def _from_file(path: Path) -> list[Event[TriggerPayload]]:
    """Read the events and bring them into the order of their times; what cannot be read is said and left out."""
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
        raise typer.BadParameter("--since wants a number and a unit, such as 90d") from None


def _price(written: str) -> Decimal:
    try:
        return Decimal(written)
    except ArithmeticError:
        raise typer.BadParameter("a price is a number, such as 0.05") from None
