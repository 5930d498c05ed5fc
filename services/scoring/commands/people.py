"""`earshot people`: who may log in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from services.scoring.config import ScoringSettings
from services.scoring.domain.people.person import InvalidPerson, Person, checked_scope, folded
from services.scoring.people import accounts as actions
from services.scoring.people.accounts import LINK_LASTS, Invited
from services.scoring.people.scope_form import known_scopes
from services.scoring.repository.people import accounts
from shared.contract.vocabulary import Role, Service
from shared.database.opening import open_for_command
from shared.database.session import Session

app = typer.Typer(no_args_is_help=True, help="Who may log in, and what they may do.")
_Login = Annotated[str, typer.Argument(help="What the person types at the log-in.")]
T = TypeVar("T")


@app.command()
def add(  # noqa: PLR0913 - the options of a command
    login: _Login,
    *,
    role: Annotated[list[Role], typer.Option(help="What the person may do; may be repeated.")],
    name: Annotated[str, typer.Option(help="How pages call the person; without it, the login.")] = "",
    program: Annotated[list[str] | None, typer.Option(help="Sees only this program; may be repeated.")] = None,
    store: Annotated[list[str] | None, typer.Option(help="Sees only this store; may be repeated.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Sees the stores of this region; may be repeated.")] = None,
    email: Annotated[str, typer.Option(help="Where one-time links may be sent.")] = "",
) -> None:
    """Add a person and print a link at which the person chooses a password; it works once.

    Without programs, stores and regions the person sees everything.
    """

    async def invite(session: Session) -> Invited:
        known = await known_scopes(session)
        scope = checked_scope(programs=program or (), stores=store or (), regions=region or (), known=known)
        return await actions.add(session, login=login, name=name or login, roles=role, scope=scope, email=email)

    _print_link(_run(invite))


@app.command()
def reset(login: _Login) -> None:
    """Print a link at which a person chooses a new password; it works once, and a link made before does not."""

    async def invite(session: Session) -> Invited:
        return await actions.invite(session, await _person(session, login))

    _print_link(_run(invite))


@app.command("list")
def list_people() -> None:
    """List everybody with roles and state."""
    for person in _run(accounts.load_all):
        otherwise = f"logs in at {person.issuer}" if person.issuer else "has not used a link yet"
        state = "off" if person.is_off else "has a password" if person.has_password else otherwise
        print(f"{person.login}\t{person.name}\t{', '.join(sorted(person.roles))}\t{person.scope.text}\t{state}")


@app.command()
def off(login: _Login) -> None:
    """Turn a person off, who is logged out and cannot log in."""
    _turn(login, off=True)


@app.command()
def on(login: _Login) -> None:
    """Let a person who was turned off log in again."""
    _turn(login, off=False)


def _turn(login: str, *, off: bool) -> None:
    async def turn(session: Session) -> None:
        await actions.turn(session, (await _person(session, login)).id, off=off)

    _run(turn)
    print(f"{folded(login)} is turned {'off' if off else 'on'}")


async def _person(session: Session, login: str) -> Person:
    found = await accounts.by_login(session, folded(login))
    if found is None:
        raise InvalidPerson("login", "nobody has this login; `earshot people list` lists them")
    return found[0]


def _print_link(invited: Invited) -> None:
    typer.echo(f"For {invited.person.name}, once and for {LINK_LASTS.days} days:", err=True)
    print(invited.url(ScoringSettings().dashboard_url))


def _run(work: Callable[[Session], Awaitable[T]]) -> T:
    try:
        return asyncio.run(_in_transaction(work))
    except InvalidPerson as error:
        typer.echo(f"earshot: {error}", err=True)
        raise typer.Exit(1) from None


async def _in_transaction(work: Callable[[Session], Awaitable[T]]) -> T:
    async with open_for_command(ScoringSettings(), Service.SCORING) as database, database.sessions.begin() as session:
        return await work(session)
