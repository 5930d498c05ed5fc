"""`earshot keys`: API keys for machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.config import TriggerSettings
from services.trigger.domain.keys import ApiKey, KeyScope, digest, new_token
from services.trigger.repository import keys as stored_keys
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command

app = typer.Typer(no_args_is_help=True, help="API keys for machines.")

T = TypeVar("T")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the list, such as that of the machine.")],
    scope: Annotated[list[KeyScope] | None, typer.Option(help="What the key allows; may be repeated.")] = None,
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days until the key expires; 0: never.")] = 365,
) -> None:
    """Create a key and print it; it cannot be shown again."""
    token, scopes = new_token(), scope or [KeyScope.EVENTS_WRITE]
    lasting = timedelta(days=days) if days else None
    key = _run(lambda session: stored_keys.add(session, name, digest=digest(token), scopes=scopes, lasting=lasting))
    typer.echo(_line(key), err=True)
    print(token)


@app.command("list")
def list_keys() -> None:
    """List every key with its scopes and its expiry."""
    for key in _run(stored_keys.load_all):
        print(_line(key))


@app.command("revoke")
def revoke(key: Annotated[UUID, typer.Argument(help="The id in `earshot keys list`.")]) -> None:
    """Revoke a key; running services reject it within seconds."""
    if not _run(lambda session: stored_keys.revoke(session, key)):
        raise typer.BadParameter("no such key, or already revoked; `earshot keys list` lists them")
    print(f"{key} revoked")


def _line(key: ApiKey) -> str:
    state = "never expires" if key.expires_at is None else f"until {key.expires_at:%Y-%m-%d}"
    if key.revoked_at is not None:
        state = f"revoked {key.revoked_at:%Y-%m-%d}"
    return f"{key.id}\t{key.name}\t{' '.join(sorted(key.scopes))}\t{state}"


def _run(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    return asyncio.run(_in_transaction(work))


async def _in_transaction(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async with open_for_command(TriggerSettings(), Service.TRIGGER) as database, database.sessions.begin() as session:
        return await work(session)
