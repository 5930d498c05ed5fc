"""`earshot webhooks`: the operations of `/v1/webhooks`, run directly on the database without the web server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from services.scoring.config import ScoringSettings
from services.scoring.domain.webhooks import EVENT_TYPES
from services.scoring.webhooks.delivery import WebhookSender
from services.scoring.webhooks.routes import Webhooks
from services.scoring.webhooks.schemas import Replay, WebhookIn, WebhookListed
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.web.problems import Problem

app = typer.Typer(no_args_is_help=True, help="Endpoints that receive answers and alerts over HTTP.")

T = TypeVar("T")
EndpointId = Annotated[UUID, typer.Argument(metavar="ID")]


@app.command()
def add(
    url: str,
    types: Annotated[list[str] | None, typer.Option("--type", help=f"One of {', '.join(EVENT_TYPES)}.")] = None,
) -> None:
    """Add an endpoint and print the secret that signs its deliveries."""
    made = _with(lambda webhooks: webhooks.add(WebhookIn(url=url, types=types or [])))
    typer.echo(f"{made.id}  {made.secret}")


@app.command("list")
def list_all() -> None:
    """List all endpoints with counts of the deliveries of the last seven days."""
    for each in _with(lambda webhooks: webhooks.list()):
        typer.echo(_line(each))


def _line(each: WebhookListed) -> str:
    state = f"disabled: {each.disabled}" if each.disabled else "enabled"
    counts = f"{each.delivered} delivered, {each.due} due, {each.failed} failed"
    failure = f"; last failure: {each.last_outcome}" if each.last_outcome else ""
    acts = "".join(f"  {act.what} {act.at:%Y-%m-%d} {act.by}" for act in (each.made, each.changed) if act)
    return f"{each.id}  {each.url}  {state}; {counts}{failure}  [{', '.join(each.types)}]{acts}"


@app.command()
def disable(endpoint: EndpointId) -> None:
    """Stop sending; events are kept for seven days, and sent when the endpoint is enabled again."""
    _with(lambda webhooks: webhooks.disable(endpoint))


@app.command()
def enable(endpoint: EndpointId) -> None:
    """Resume sending, with the events kept meanwhile."""
    _with(lambda webhooks: webhooks.enable(endpoint))


@app.command()
def remove(endpoint: EndpointId) -> None:
    """Delete an endpoint and its deliveries."""
    _with(lambda webhooks: webhooks.remove(endpoint))


@app.command()
def rotate(endpoint: EndpointId) -> None:
    """Make and print a new secret; for 24 hours every delivery is signed with the old one as well."""
    typer.echo(_with(lambda webhooks: webhooks.rotate(endpoint)).secret)


@app.command()
def replay(
    endpoint: EndpointId,
    *,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far back.")] = 168,
    delivered_too: Annotated[bool, typer.Option("--all", help="Also repeat deliveries that succeeded.")] = False,
) -> None:
    """Send failed deliveries again."""
    body = Replay(since=datetime.now(UTC) - timedelta(hours=hours), delivered_too=delivered_too)
    typer.echo(f"{_with(lambda webhooks: webhooks.replay(endpoint, body)).deliveries} deliveries are due again")


@app.command()
def test(endpoint: EndpointId) -> None:
    """Send one signed test event now; exits with 1 unless the endpoint accepts it."""
    outcome = _with(lambda webhooks: webhooks.test(endpoint)).outcome
    accepted = isinstance(outcome, int) and 200 <= outcome < 300
    typer.echo(f"{outcome}: {'accepted' if accepted else 'not accepted'}")
    raise typer.Exit(0 if accepted else 1)


def _with(work: Callable[[Webhooks], Awaitable[T]]) -> T:
    async def run() -> T:
        settings = ScoringSettings()
        async with open_for_command(settings, Service.SCORING, pool_size=2) as database:
            return await work(Webhooks(database.sessions, WebhookSender(database.sessions, settings.webhook_networks)))

    try:
        return asyncio.run(run())
    except Problem as problem:
        typer.echo(f"earshot: {problem.title}. {problem.detail}", err=True)
        raise typer.Exit(1) from None
