"""`earshot keys`: API keys for machines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from deploy.commands import fail
from deploy.operations import api_keys
from deploy.operations.api_keys import Away, NotCreated, StoredKey
from shared.config import Settings
from shared.contract.api_keys import ApiKey, KeyScope, KeyState
from shared.web.api_keys.scopes import limitable
from shared.web.audit.acts import note

app = typer.Typer(no_args_is_help=True, help="API keys for machines.")

LONGEST_NAME = 100


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the list, such as that of the machine.")],
    scope: Annotated[list[KeyScope] | None, typer.Option(help="What the key allows; may be repeated.")] = None,
    program: Annotated[
        list[str] | None, typer.Option(help="A program to which the key is limited; may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days until the key expires; 0: never.")] = 365,
) -> None:
    """Create a key and print it; it cannot be shown again."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise typer.BadParameter(f"a name has 1 to {LONGEST_NAME} printable characters")
    scopes, lasting = scope or [KeyScope.EVENTS_WRITE], timedelta(days=days) if days else None
    programs = [each.strip() for each in program or ()]
    if "" in programs:
        raise typer.BadParameter("a program has an id, as `earshot programs list` shows it")
    if programs and (whole := set(scopes) - limitable()):
        raise typer.BadParameter(
            f"{', '.join(sorted(whole))} cannot be limited to programs, only {', '.join(sorted(limitable()))}"
        )
    try:
        token, key = asyncio.run(api_keys.create(Settings(), name, scopes=scopes, lasting=lasting, programs=programs))
    except NotCreated as error:
        fail(str(error))
    note(key.id, name=name, scope=sorted(key.scopes))
    typer.echo(_line(key), err=True)
    print(token)


@app.command("list")
def list_keys() -> None:
    """List every key with its scopes, its expiry, the day of its last use, and who made and revoked it."""
    keys, away = asyncio.run(api_keys.load_all(Settings()))
    for key in keys:
        used = f"used {key.used_at:%Y-%m-%d}" if key.used_at else "never used"
        print("\t".join([_line(key), used, *(f"{act.what} {act.at:%Y-%m-%d} {act.by}" for act in key.acts)]))
    if away:
        fail(f"{_joined(away)}{'; its scopes are missing in this list' if keys else ''}")


@app.command("revoke")
def revoke(key: Annotated[UUID, typer.Argument(help="The id in `earshot keys list`.")]) -> None:
    """Revoke a key; running services reject it within seconds."""
    found, away = asyncio.run(api_keys.revoke(Settings(), key))
    if away:
        done = f"{key} revoked in {' and '.join(found)}" if found else f"{key} not found elsewhere"
        fail(f"{_joined(away)}; {done}; try again to revoke it there too")
    if not found:
        raise typer.BadParameter("no such key; `earshot keys list` lists them")
    print(f"{key} revoked")


def _joined(away: Sequence[Away]) -> str:
    """Name the services that could not be asked, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for each in away:
        reasons.setdefault(each.reason, []).append(each.service)
    return "; ".join(f"{' and '.join(services)}: {reason}" for reason, services in reasons.items())


def _line(key: StoredKey) -> str:
    return f"{key.id}\t{key.name}\t{' '.join(sorted(key.scopes))}\t{_states(key)}"


def _states(key: StoredKey) -> str:
    """Say until when a key is valid, for each service where they differ, as after an interrupted revocation."""
    services: dict[str, list[str]] = {}
    for service, part in key.by_service.items():
        services.setdefault(_state(part), []).append(service)
    if len(services) == 1:
        return next(iter(services))
    return ", ".join(f"{state} in {' and '.join(names)}" for state, names in services.items())


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never expires"
    return f"{'expired' if key.state is KeyState.EXPIRED else 'until'} {key.expires_at:%Y-%m-%d}"
