"""`make fuzz`: sends malformed inputs to every door of a running Earshot, then checks that all is decided and works.

Prints a table, writes build/fuzz.json, and exits with 1 after a server error, a stall, the end of a process, or a loss.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from shared import logging
from tests.fuzz import run
from tests.fuzz.run import FOUND, FuzzReport

OUTPUT = Path("build/fuzz.json")
SHOWN = 20


def main() -> bool:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2, help="each runs an Earshot of its own")
    parser.add_argument("--seed", type=int, default=12)
    chosen = parser.parse_args()
    report, each = FuzzReport(chosen.seed), chosen.inputs // chosen.processes
    with ProcessPoolExecutor(chosen.processes) as pool:
        seeds = range(chosen.seed, chosen.seed + chosen.processes)
        for part in pool.map(_run, [each] * chosen.processes, seeds):
            report.add(part)
    _print(report)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(_written(report), indent=1))
    return report.passed


def _run(inputs: int, seed: int) -> FuzzReport:
    logging.configure("critical", service="fuzz")
    return uvloop.run(run.run(inputs, seed=seed))


def _written(report: FuzzReport) -> dict[str, Any]:
    doors = {
        name: {"inputs": door.inputs, "statuses": dict(door.statuses), "slowest_s": door.slowest_s}
        for name, door in report.doors.items()
    }
    return {
        "seed": report.seed,
        "seconds": report.seconds,
        "sender_late_s": report.sender_late_s,
        **{name: getattr(report, name) for name in FOUND},
        "doors": doors,
        "inputs": report.inputs,
        "passed": report.passed,
    }


def _print(report: FuzzReport) -> None:
    title = (
        f"{report.inputs} inputs in {report.seconds:.0f} s, seed {report.seed}, "
        f"sender late by {report.sender_late_s:.1f} s at most"
    )
    table = Table("door", "inputs", "2xx", "3xx", "4xx", "5xx", "hung up", "slowest", title=title)
    for name, door in sorted(report.doors.items()):
        classes = [sum(n for status, n in door.statuses.items() if status // 100 == each) for each in (2, 3, 4, 5, 0)]
        table.add_row(name, str(door.inputs), *map(str, classes), f"{door.slowest_s:.1f} s")
    console = Console()
    console.print(table)
    for name in FOUND:
        found: list[str] = getattr(report, name)
        console.print(f"{name}: {len(found)}")
        for line in found[:SHOWN]:
            console.print(f"  {line}", markup=False, highlight=False)


if __name__ == "__main__":
    raise SystemExit(not main())
