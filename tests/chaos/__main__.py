"""`make chaos`: kills processes and cuts connections while thousands of invitations are on their way, then checks.

Prints a table, writes build/chaos.json, and exits with 1 when anything was lost, sent twice, stalled without being
reported, or cannot be explained.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from shared import logging
from tests import postgres_server
from tests.chaos import run
from tests.chaos.run import ChaosReport
from tests.chaos.setup import Plan

OUTPUT = Path("build/chaos.json")
LOGS = Path("build/chaos-logs")
SHOWN = 20
KEPT = 1000


def main() -> bool:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--transport", choices=("kafka", "postgres"), default="kafka")
    parser.add_argument("--invitations", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--failover", action=argparse.BooleanOptionalAction, default=postgres_server.is_installed())
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    chosen = parser.parse_args()
    logging.configure("critical", service="chaos")  # the table reports the faults
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all servers are stopped
    plan = Plan(chosen.invitations, chosen.kills, chosen.seed, LOGS, chosen.transport, chosen.failover)
    report = uvloop.run(run.run(plan))
    _print(report)
    _write(report)
    return report.passed


def _print(report: ChaosReport) -> None:
    table, verdict = Table("", "", title=f"seed {report.plan.seed}, {report.plan.transport}"), report.verdict
    rows = {
        "invitations": report.plan.invitations,
        "expected": verdict.expected,
        "found": verdict.found,
        "accepted": verdict.accepted,
        "lost": verdict.lost,
        "duplicates": verdict.duplicates,
        "answers acknowledged": verdict.answers,
        "answers lost": verdict.answers_lost,
        "events acknowledged": verdict.posts,
        "undetected stalls": report.undetected,
        **{f"unknown, {reason}": count for reason, count in sorted(verdict.unknown.items())},
        "unknown, limit": verdict.unknown_bound,
        "kills": report.kills,
        **dict(sorted(report.faults.items())),
        **{f"longest stall, s: {name}": round(seconds) for name, seconds in sorted(report.longest_stall_s.items())},
        "seconds": round(report.seconds),
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:,}")
    console = Console(width=100)
    console.print(table)
    for line in verdict.wrong[:SHOWN]:
        console.print(line)


def _write(report: ChaosReport) -> None:
    verdict = report.verdict
    found = {
        "seed": report.plan.seed,
        "invitations": report.plan.invitations,
        "kills": report.kills,
        "faults": dict(sorted(report.faults.items())),
        "expected": verdict.expected,
        "found": verdict.found,
        "accepted": verdict.accepted,
        "lost": verdict.lost,
        "duplicates": verdict.duplicates,
        "unknown": verdict.unknown.total(),
        "unknown_bound": verdict.unknown_bound,
        "answers": verdict.answers,
        "answers_lost": verdict.answers_lost,
        "posts": verdict.posts,
        "posts_lost": verdict.posts_lost,
        "unseen": report.undetected,
        "wrong": verdict.wrong[:KEPT],
        "seconds": round(report.seconds, 1),
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(not main())
