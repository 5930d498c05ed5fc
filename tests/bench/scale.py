"""`python -m tests.bench.scale [--write]`: what years of events take and what breaks first, from `build/bench.json`.

It reads what `make bench STAGE=bytes ARGS="--asked half"` measured, and the rates of other stages where they are there.
Nothing is measured here: a row takes what it took in that run. `--write` puts the figures into docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy import databases
from tests.bench.bytes import ANSWER, UPDATED
from tests.bench.frame import OUTPUT

PAGE = databases.ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- figures of tests/bench/scale.py -->\n", "<!-- end of the figures -->\n"
BILLION = 10**9
ANSWERED = 0.2  # of the customers who are asked
EVENTS_A_DAY = (10_000, 100_000, 1_000_000, 10_000_000)
INBOX_DAYS, LOG_DAYS = 30, 7  # how long their rows are kept
YEARS = 10
PEAK = 5  # times the mean rate of a day
CACHE = 64e9  # bytes of memory for pages
VOLUME = 16e12  # bytes of a disk
BLOCK = 8192
TABLE_MOST = 2**32 * BLOCK  # https://www.postgresql.org/docs/current/limits.html
FREEZE_AFTER = 200_000_000  # autovacuum_freeze_max_age
VACUUM_PER_S = 200 / 20 / 0.002 * BLOCK  # vacuum_cost_limit / vacuum_cost_page_dirty / autovacuum_vacuum_cost_delay
DAY_S = 86_400


class Limit(NamedTuple):
    """After how many events something breaks or slows down."""

    events: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What the run measured, for one event."""

    run: Mapping[str, Any]
    rates: Mapping[str, float]  # items a second by stage

    @property
    def asked(self) -> float:
        share: float = self.run["asked"] / self.run["events"]
        return share

    @property
    def answers(self) -> float:
        return self.asked * ANSWERED

    @property
    def kept(self) -> float:
        """Return the bytes that stay."""
        lines = self.run["lines"]
        total: float = lines["all of it"] + self.answers * (lines[ANSWER] + lines[UPDATED])
        return total

    @property
    def wal(self) -> float:
        events, answers = (sum(self.run[name].values()) for name in ("wal_per_event", "wal_per_answer"))
        total: float = events + self.answers * answers
        return total

    def tables(self) -> dict[str, Mapping[str, float]]:
        """Return rows, heap and index bytes of the tables that stay, the largest first; answers are added."""
        added: dict[str, dict[str, float]] = {}
        for tables, share in ((self.run["tables"], 1 / self.run["events"]), (self.run["answered"], self._per_answer)):
            for name, size in tables.items():
                table = added.setdefault(name, {"rows": 0, "heap": 0, "indexes": 0})
                table["rows"] += size["rows"] * share
                table["heap"] += (size["heap"] + size["toast"]) * share
                table["indexes"] += sum(size["indexes"].values()) * share
        return dict(sorted(added.items(), key=lambda item: -item[1]["heap"] - item[1]["indexes"]))

    @property
    def _per_answer(self) -> float:
        return self.answers / self.run["answers"] if self.run["answers"] else 0

    def is_kept(self, table: str) -> bool:
        return not table.partition(".")[2].startswith(("outbox", "inbox", "parked", "mailbox", "messages"))

    def kept_for(self, name: str) -> float:
        """Return the bytes of the tables of this name, which are emptied after some days."""
        return sum(
            size["heap"] + size["indexes"]
            for table, size in self.tables().items()
            if table.partition(".")[2].startswith(name)
        )

    def entry(self, table: str) -> float:
        """Return the bytes of an entry in the largest index of a table."""
        size = self.run["tables"].get(table) or self.run["answered"][table]
        largest: float = max(size["indexes"].values(), default=0) / max(size["rows"], 1)
        return largest

    def scattered(self) -> float:
        """Return the bytes of the indexes that have to be in memory as a whole."""
        found = set(self.run["scattered"])
        total = sum(
            bytes_
            for table, size in self.run["tables"].items()
            for index, bytes_ in size["indexes"].items()
            if f"{table.partition('.')[0]}.{index}" in found and self.is_kept(table)
        )
        return float(total / self.run["events"])

    def limits(self) -> list[Limit]:
        """Return what breaks or slows down, the first first."""
        name, largest = next((name, size) for name, size in self.tables().items() if self.is_kept(name))
        sequence, share = max(self._sequences().items(), key=lambda item: item[1])
        memory, disk = f"{CACHE / 1e9:.0f} GB of memory", f"a disk of {VOLUME / 1e12:.0f} TB"
        found = {
            f"{memory} no longer hold the indexes that are written all over": CACHE / self.scattered(),
            f"the tables fill {disk}": VOLUME / self.kept,
            f"{name} reaches PostgreSQL's 32 TB, if it is one table": TABLE_MOST / largest["heap"],
            f"the first VACUUM of {name} takes a day, if it is one table": VACUUM_PER_S * DAY_S / largest["heap"],
            "old rows of every table are frozen, and again after as many": FREEZE_AFTER / self._transactions,
            f"{sequence} ends, the first of the sequences": 1 / share,
        }
        return sorted(Limit(events, text) for text, events in found.items())

    @property
    def _transactions(self) -> float:
        transactions: float = self.run["transactions_per_event"]
        return transactions

    def _sequences(self) -> dict[str, float]:
        """Return which part of each sequence an event uses."""
        return {name: last / self.run["events"] / most for name, (last, most) in self.run["sequences"].items()}

    def partitioned(self) -> int:
        """Count the tables that have partitions."""
        return sum(size["partitions"] > 1 for size in self.run["tables"].values())


def figures(scale: Scale) -> Iterator[str]:
    """Yield the lines of the page."""
    run = scale.run
    asked = f"{scale.asked:.0%} asked, {ANSWERED:.0%} of these answered"
    yield f"From {run['events']:,} purchases of new customers, {asked}:"
    yield f"{scale.kept:,.0f} bytes stay of an event, and {scale.wal:,.0f} bytes of WAL are written for it."
    yield from ("", *_tables(scale), "", "Rows, heap and indexes are of an event. Disk for a year:", "")
    yield from (*_disk(scale), "", "What breaks or slows down first:", "", *_limits(scale), *_rates(scale))
    if tables := scale.partitioned():
        yield from (
            "",
            f"{tables} tables with partitions: {tables * 12 * YEARS:,} of them after {YEARS} years by month.",
        )


def _tables(scale: Scale) -> Iterator[str]:
    sizes = f"{'a billion':>12}{'ten billion':>13}"
    yield f"    {'':28}{'rows':>8}{'heap':>8}{'indexes':>9}{sizes}   levels of the largest index"
    for name, size in scale.tables().items():
        if scale.is_kept(name) and size["heap"] + size["indexes"] >= scale.kept / 100:
            yield "    " + _table_line(scale, name, size)
    yield f"    {'all that stays':53}{_bytes(scale.kept * BILLION):>12}{_bytes(scale.kept * 10 * BILLION):>13}"


def _limits(scale: Scale) -> Iterator[str]:
    yield f"    {'events':>12}{'at a million a day':>21}"
    for limit in scale.limits():
        yield f"    {_number(limit.events):>12}{_years(limit.events / 1e6):>21}   {limit.text}"


def _table_line(scale: Scale, name: str, size: Mapping[str, float]) -> str:
    total = size["heap"] + size["indexes"]
    levels = [_levels(size["rows"] * events, scale.entry(name)) for events in (BILLION, 10 * BILLION)]
    sizes = f"{_bytes(total * BILLION):>12}{_bytes(total * 10 * BILLION):>13}"
    return f"{name:28}{size['rows']:8.2f}{size['heap']:8,.0f}{size['indexes']:9,.0f}{sizes}   {levels[0]}, {levels[1]}"


def _disk(scale: Scale) -> Iterator[str]:
    headings = ("that stays", f"inboxes, {INBOX_DAYS} days", f"log, {LOG_DAYS} days", "WAL a day")
    widths = (13, 20, 16, 12)
    yield f"    {'events a day':>14}" + "".join(
        f"{name:>{width}}" for name, width in zip(headings, widths, strict=True)
    )
    inbox, log = scale.kept_for("inbox") * INBOX_DAYS, scale.kept_for("messages") * LOG_DAYS
    for events in EVENTS_A_DAY:
        columns = (scale.kept * 365, inbox, log, scale.wal)
        yield f"    {events:>14,}" + "".join(
            f"{_bytes(bytes_ * events):>{width}}" for bytes_, width in zip(columns, widths, strict=True)
        )


def _rates(scale: Scale) -> Iterator[str]:
    """Yield how much of each stage's measured rate a busy hour takes."""
    per_event = {"trigger": 1.0, "timers": scale.asked, "sending": scale.asked, "answers": scale.answers}
    known = {stage: rate for stage, rate in scale.rates.items() if stage in per_event}
    if not known:
        return
    yield from ("", f"Share of what two cores did in the same bench, in an hour with {PEAK} times the mean rate:", "")
    yield f"    {'events a day':>14}" + "".join(f"{stage:>12}" for stage in known)
    for events in EVENTS_A_DAY:
        shares = (events / DAY_S * PEAK * per_event[stage] / rate for stage, rate in known.items())
        yield f"    {events:>14,}" + "".join(f"{share:>12.1%}" for share in shares)


def _levels(rows: float, entry: float) -> int:
    """Return the levels of a B-tree, if an entry of an inner page takes as much as one of a leaf."""
    return math.ceil(math.log(max(rows, 2)) / math.log(BLOCK / max(entry, 16)))


def _bytes(number: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e6:,.0f} MB"


def _number(events: float) -> str:
    return f"{events / 1e9:,.1f} bn" if events < 1e15 else "over 10^15"


def _years(days: float) -> str:
    return f"{days:,.0f} days" if days < 730 else f"{days / 365:,.0f} years" if days < 1e6 else "never"


def read() -> Scale:
    """Read the results; raises SystemExit without those of the stage bytes."""
    results = {result["stage"]: result for result in json.loads(OUTPUT.read_text())} if OUTPUT.exists() else {}
    if "bytes" not in results:
        raise SystemExit('first: make bench STAGE=bytes ARGS="--asked half"')
    rates = {stage: result["ours_per_s"] for stage, result in results.items() if "ours_per_s" in result}
    return Scale(results["bytes"], rates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/scale.md")
    given = parser.parse_args()
    lines = "".join(f"{line}\n" for line in figures(read()))
    if given.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{lines}\n{END}{rest.partition(END)[2]}")
    else:
        sys.stdout.write(lines)
