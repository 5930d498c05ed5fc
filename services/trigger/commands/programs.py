"""`earshot programs`: applies, compares, lists and switches programs."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
import yaml

from services.trigger.config import TriggerSettings
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.lint import demands_of_production, lint
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.domain.programs.states import ALL_PROGRAMS
from services.trigger.handlers.programs import UnknownProgram, apply_program, switch
from services.trigger.repository import programs as stored_programs
from shared.contract.vocabulary import ProgramState, Service, counted
from shared.database.compared_clock import open_command_clock
from shared.database.db import Database
from shared.database.opening import open_for_command
from shared.web.audit.acts import present_actor

app = typer.Typer(no_args_is_help=True, help="Programs, which define who is asked what, when and how often.")


@app.command("apply")
def apply_files(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="YAML files, or folders of them.")],
) -> None:
    """Make these documents the current versions of their programs; if one is not valid, none is applied."""
    documents = [(path, _read(path)) for path in _files(paths)]
    settings = TriggerSettings()

    async def work(database: Database) -> None:
        now = (await open_command_clock(settings.clock, database)).now()
        async with database.sessions.begin() as session:
            for path, document in documents:
                program, changed = await apply_program(session, document, now=now)
                print(f"{path}: {program.id} version {program.version}{'' if changed else ', unchanged'}")

    _with_database(settings, work)


@app.command("lint")
def lint_files(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="YAML files, or folders of them.")],
) -> None:
    """Print errors, and warnings about probable mistakes; the exit code is 1 if there are errors.

    What only production demands is an error in production.
    """
    documents = [(path, _read(path)) for path in _files(paths)]
    is_production = TriggerSettings().environment == "production"
    demands = [f"{path}: {lack}" for path, document in documents for lack in demands_of_production(document)]
    warnings = [f"{path}: {warning}" for path, document in documents for warning in lint(document)]
    errors = demands if is_production else []
    print("\n".join([*errors, *warnings, f"{len(documents)} read, {counted(len(warnings), 'warning')}"]))
    if errors:
        raise typer.Exit(1)


@app.command("diff")
def diff_files(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="YAML files, or folders of them.")],
) -> None:
    """Show what applying these documents would change, without applying them."""
    documents = [(path, _read(path)) for path in _files(paths)]

    async def work(database: Database) -> None:
        async with database.sessions() as session:
            current = await stored_programs.current(session)
        for path, document in documents:
            print(_difference(current.get(document.id), document, path=path), end="")

    _with_database(TriggerSettings(), work)


@app.command("list")
def list_current() -> None:
    """List the current version of every program."""

    async def work(database: Database) -> None:
        async with database.sessions() as session:
            for program in (await stored_programs.current(session)).values():
                document = program.document
                state = "" if document.active and program.state is ProgramState.ON else f" ({_state(program)})"
                print(f"{program.id}\tversion {program.version}\tpriority {document.priority}{state}\t{document.title}")

    _with_database(TriggerSettings(), work)


@app.command("show")
def show(program_id: str) -> None:
    """Print the current document of a program with all defaults."""

    async def work(database: Database) -> None:
        async with database.sessions() as session:
            program = _find(await stored_programs.current(session), program_id)
        print(_as_yaml(program.document), end="")

    _with_database(TriggerSettings(), work)


_Named = Annotated[str, typer.Argument(help="The program's id; leave it out with --all.")]
_All = Annotated[bool, typer.Option("--all", help="All programs, also those applied later.")]
_Withdraw = Annotated[bool, typer.Option("--withdraw", help="Withdraw its open surveys too; they do not come back.")]


@app.command("off")
def off(program_id: _Named = "", *, all_: _All = False) -> None:
    """Switch a program off: it asks nobody new. Surveys under way go on."""
    _switch(_one_or_all(program_id, all_=all_), ProgramState.OFF)


@app.command("on")
def on(program_id: _Named = "", *, all_: _All = False) -> None:
    """Switch a program on; with --all, end what was stopped by --all. What waited is sent, if it has not expired."""
    _switch(_one_or_all(program_id, all_=all_), ProgramState.ON)


@app.command("stop")
def stop(program_id: _Named = "", *, all_: _All = False, withdraw: _Withdraw = False) -> None:
    """Stop a program: nothing of it leaves any more. Links that are out can be answered, unless they are withdrawn."""
    state = ProgramState.WITHDRAWN if withdraw else ProgramState.STOPPED
    _switch(_one_or_all(program_id, all_=all_), state)


def _one_or_all(program_id: str, *, all_: bool) -> str:
    if bool(program_id) is all_:
        raise typer.BadParameter("name one program, or say --all")
    return ALL_PROGRAMS if all_ else program_id


def _switch(program_id: str, state: ProgramState) -> None:
    settings = TriggerSettings()

    async def work(database: Database) -> None:
        now = (await open_command_clock(settings.clock, database)).now()
        try:
            async with database.sessions.begin() as session:
                switched = await switch(session, program_id, state, now=now, actor=present_actor())
        except UnknownProgram:
            raise typer.BadParameter(_unknown(program_id)) from None
        for program in switched:
            print(f"{program.id} version {program.version} is {program.state}")
        if not switched:
            print("nothing changed")

    _with_database(settings, work)


def _state(program: CompiledProgram) -> str:
    return program.state if program.document.active else "not active"


def _find(current: Mapping[str, CompiledProgram], program_id: str) -> CompiledProgram:
    if program_id not in current:
        raise typer.BadParameter(_unknown(program_id))
    return current[program_id]


def _unknown(program_id: str) -> str:
    return f"no program {program_id}; `earshot programs list` lists them"


def _as_yaml(document: ProgramDocument) -> str:
    written = document.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(written, allow_unicode=True, sort_keys=False)


def _difference(current: CompiledProgram | None, document: ProgramDocument, *, path: Path) -> str:
    if current is None:
        return f"{path}: {document.id} is new\n"
    before, after = _as_yaml(current.document).splitlines(), _as_yaml(document).splitlines()
    lines = difflib.unified_diff(before, after, f"{document.id} version {current.version}", str(path), lineterm="", n=2)
    return "".join(f"{line}\n" for line in lines) or f"{path}: {document.id} version {current.version}, unchanged\n"


def _files(paths: list[Path]) -> list[Path]:
    nested = [sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path] for path in paths]
    return [path for found in nested for path in found]


def _read(path: Path) -> ProgramDocument:
    try:
        return read_program(path.read_bytes())
    except InvalidProgram as error:
        for mistake in error.mistakes:
            typer.echo(f"{path}: {mistake}", err=True)
        raise typer.Exit(1) from None


def _with_database(settings: TriggerSettings, work: Callable[[Database], Awaitable[None]]) -> None:
    asyncio.run(_open_and_work(settings, work))


async def _open_and_work(settings: TriggerSettings, work: Callable[[Database], Awaitable[None]]) -> None:
    async with open_for_command(settings, Service.TRIGGER) as database:
        await work(database)
