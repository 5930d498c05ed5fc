"""`earshot schemas`: write the JSON Schemas of the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy import contract
from deploy.commands import fail

app = typer.Typer()


@app.command()
def schemas(
    *, check: Annotated[bool, typer.Option("--check", help="Only check that docs/events/ is up to date.")] = False
) -> None:
    """Write the contract's JSON Schemas to docs/events/."""
    if not check:
        contract.write()
    elif stale := contract.drift():
        fail(f"docs/events/ is out of date ({', '.join(stale)}): run `make schemas`")
