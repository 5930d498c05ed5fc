"""The report of a simulation: tables for the terminal and CSV files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.trigger.domain.deciding.cases import DecisionReason
from services.trigger.domain.deciding.explanations import TITLES
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.simulation.simulate import SimulatedSurvey, SimulationOutcome
from shared.contract.vocabulary import ChannelKind, counted
from shared.tables.writing import SpreadsheetWriter

_DAYS_SHOWN = 31


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of one message or call, in any currency."""

    sms: Decimal
    call: Decimal

    def of(self, contacts: Counter[ChannelKind]) -> Decimal:
        return contacts[ChannelKind.SMS] * self.sms + contacts[ChannelKind.CALL] * self.call


def show(  # noqa: PLR0913 - what a report is about
    console: Console,
    program: CompiledProgram,
    *,
    after: SimulationOutcome,
    before: SimulationOutcome | None,
    current: CompiledProgram | None,
    prices: Prices,
) -> None:
    """Print the results with the program (`after`) and with the stored programs (`before`), and their difference.

    `current` is the stored version of the program.
    """
    name = f"version {current.version} now" if current else "without it now"
    console.print(_figures(program, name, after=after, before=before, prices=prices))
    console.print(_reasons(name, after=after, before=before))
    console.print(_calendar(after.of(program.id)))
    console.print("Contacts and cost are upper limits: they assume that nobody answers and every step is sent.")


def _figures(
    program: CompiledProgram, name: str, *, after: SimulationOutcome, before: SimulationOutcome | None, prices: Prices
) -> Table:
    table = Table("", name, "this", "difference", title=f"{program.id}, tried on {counted(after.events, 'event')}")
    _right(table)
    _add(table, "asked by this program", _asked(before, program.id), len(after.of(program.id)))
    _add(table, "asked by all programs", len(before.asked) if before else None, len(after.asked))
    new, old = _contacts(after.of(program.id)), _contacts(before.of(program.id)) if before else None
    for channel in ChannelKind:
        _add(table, f"contacts by {channel}", old[channel] if old is not None else None, new[channel])
    _add(table, "cost", prices.of(old) if old is not None else None, prices.of(new))
    busiest = _busiest(after.of(program.id))
    _add(table, "on the busiest day", _busiest(before.of(program.id)) if before else None, busiest)
    return table


def _reasons(name: str, *, after: SimulationOutcome, before: SimulationOutcome | None) -> Table:
    table = Table("", name, "this", "difference", title="Events by the last rule tried in any program")
    _right(table)
    new, old = _by_reason(after), _by_reason(before) if before else None
    for reason in DecisionReason:
        if new[reason] or (old and old[reason]):
            _add(table, f"{reason}: {TITLES[reason]}", old[reason] if old is not None else None, new[reason])
    return table


def _calendar(asked: Sequence[SimulatedSurvey]) -> Table:
    days = {one.send_at.date() for one in asked}
    unit = "day" if len(days) <= _DAYS_SHOWN else "month"
    table = Table(unit, "asked", *(f"first by {channel}" for channel in ChannelKind), title=f"Asked, by {unit}")
    _right(table)
    rows = Counter((one.send_at.strftime("%Y-%m-%d" if unit == "day" else "%Y-%m"), _first(one)) for one in asked)
    for period in sorted({period for period, _ in rows}):
        counts = [rows[period, channel] for channel in ChannelKind]
        table.add_row(period, f"{sum(counts):,}", *(f"{number:,}" for number in counts))
    return table


def _right(table: Table) -> None:
    for column in table.columns[1:]:
        column.justify = "right"


def _add(table: Table, name: str, before: Decimal | int | None, after: Decimal | int) -> None:
    if before is None:
        table.add_row(name, "", f"{after:,}", "")
    else:
        table.add_row(name, f"{before:,}", f"{after:,}", f"{after - before:+,}")


def _asked(outcome: SimulationOutcome | None, program_id: str) -> int | None:
    return len(outcome.of(program_id)) if outcome else None


def _contacts(asked: Sequence[SimulatedSurvey]) -> Counter[ChannelKind]:
    return Counter(channel for one in asked for channel in one.contacts)


def _busiest(asked: Sequence[SimulatedSurvey]) -> int:
    return max(Counter(one.send_at.date() for one in asked).values(), default=0)


def _by_reason(outcome: SimulationOutcome) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_program, reason), number in outcome.reasons.items():
        counts[reason] += number
    return counts


def _first(asked: SimulatedSurvey) -> ChannelKind:
    return asked.contacts[0]


def write(folder: Path, asked: Sequence[SimulatedSurvey]) -> None:
    """Write asked.csv, one line per survey, and days.csv, one line per day and first channel."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "asked.csv").open("w", newline="") as file:
        lines = SpreadsheetWriter(file)
        lines.write([["customer", "event", "program", "send_at", "contacts"]])
        lines.write(
            [one.customer_id, one.event_id, one.program_id, one.send_at.isoformat(), " ".join(one.contacts)]
            for one in asked
        )
    days = Counter((one.send_at.date(), _first(one)) for one in asked)
    with (folder / "days.csv").open("w", newline="") as file:
        lines = SpreadsheetWriter(file)
        lines.write([["day", "channel", "asked"]])
        lines.write([day, channel, number] for (day, channel), number in sorted(days.items()))
