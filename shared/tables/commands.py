"""The options that every command has that reads a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from shared.tables.layout import TableOptions
from shared.tables.values import DateOrder, DecimalPoint
from shared.zones import is_time_zone, time_zone

Columns = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="The column of a field; $line is the number of the line."),
]
Zone = Annotated[str | None, typer.Option(help="The zone of times that name none, such as Europe/Berlin.")]
Encoding = Annotated[str | None, typer.Option(help="Such as cp1251; by default it is detected.")]
Separator = Annotated[str | None, typer.Option(help="By default it is detected.")]
Header = Annotated[int | None, typer.Option(min=1, help="The line that names the columns, if it is not the first.")]
Dates = Annotated[DateOrder | None, typer.Option(help="The order of day and month in 03/04/2025.")]
Decimals = Annotated[DecimalPoint | None, typer.Option(help="How to read 1.234; by default it is detected.")]


def options_of(  # noqa: PLR0917, PLR0913 - one option each
    columns: Sequence[str] | None,
    zone: str | None,
    encoding: str | None,
    separator: str | None,
    header: int | None,
    dates: DateOrder | None,
    decimals: DecimalPoint | None,
) -> TableOptions:
    """Read the options of a command; raises typer.BadParameter."""
    return TableOptions(
        encoding=encoding,
        separator=_separator(separator),
        header=header,
        zone=_zone(zone),
        dates=dates,
        decimals=decimals,
        columns=_columns(columns or []),
    )


def _columns(given: Sequence[str]) -> Mapping[str, Sequence[str]]:
    found = {}
    for each in given:
        name, sign, column = (part.strip() for part in each.partition("="))
        if not (name and sign and column):
            raise typer.BadParameter(f"expected FIELD=COLUMN, not {each[:60]!r}", param_hint="--map")
        found[name] = (column,)
    return found


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    separator = {"tab": "\t", "\\t": "\t"}.get(given.lower(), given)
    if len(separator) != 1 or separator in '"\r\n':
        raise typer.BadParameter("expected one character, or tab", param_hint="--separator")
    return separator


def _zone(name: str | None) -> ZoneInfo | None:
    if name is not None and not is_time_zone(name):
        raise typer.BadParameter(f"no such zone as {name[:60]}", param_hint="--zone")
    return None if name is None else time_zone(name)
