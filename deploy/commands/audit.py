"""`earshot audit`: whether the audit logs are as they were written."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import typer

from deploy.operations import audit_logs
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.audit.anchors import Anchor

app = typer.Typer(no_args_is_help=True, help="The audit logs of all services.")


@app.callback()
def audit() -> None:
    """The audit logs of all services."""


@app.command("verify")
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE:DAY:HASH", help="An anchor that was kept elsewhere; may be repeated."),
    ] = None,
) -> None:
    """Recompute the hashes of all kept rows and compare them with the anchors; exits with 1 at a difference."""
    outside: dict[Service, list[Anchor]] = {}
    for text in anchor or ():
        service, kept = _anchor(text)
        outside.setdefault(service, []).append(kept)
    reports = asyncio.run(audit_logs.verify_all(Settings(), outside))
    print("\n".join(map(str, reports)))
    raise typer.Exit(any(report.found is None for report in reports))


def _anchor(text: str) -> tuple[Service, Anchor]:
    try:
        service, day, digest = text.split(":")
        return Service(service), Anchor(date.fromisoformat(day), 0, bytes.fromhex(digest))
    except ValueError:
        raise typer.BadParameter("an anchor is written as scoring:2026-03-01:9f86d0…") from None
