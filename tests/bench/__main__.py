"""`make bench [STAGE=relay]`: runs the stages, and exits with 1 when one is below its gate or gave a wrong result.

The stages `bytes` and `desk` compare nothing: they run only when they are named.
"""

from __future__ import annotations

import argparse
import json
import sys

import uvloop

from shared import logging
from shared.garbage import tune_gc
from tests.bench import answers, bytes, desk, frame, relay, sending, timers, trigger  # noqa: A004 - a stage's name
from tests.bench.purchases import Asked

STAGES: dict[str, frame.OpenBench] = {
    "answers": answers.open_bench,
    "relay": relay.open_bench,
    "sending": sending.open_bench,
    "timers": timers.open_bench,
    "trigger": trigger.open_bench,
}
BYTES, DESK = "bytes", "desk"


async def main(names: list[str]) -> bool:
    results = []
    for name in names:
        async with STAGES[name]() as bench:
            results.append(await frame.run(bench))
    return frame.report(results)


async def cost(names: list[str], runs: int) -> bool:
    """Run only our side so often, and print a line of counters for each stage: to compare two states of the code."""
    for name in names:
        async with STAGES[name]() as bench:
            for _ in range(runs):
                await bench.ours()
            counters = {counter: round(value, 2) for counter, value in bench.counters.items()}
            sys.stdout.write(json.dumps({"stage": name, **counters}) + "\n")
    return True


async def measure_desk() -> bool:
    return desk.report(await desk.measure())


async def measure_bytes(given: argparse.Namespace) -> bool:
    asked = Asked(given.asked)
    run = await bytes.measure(events=given.events, asked=asked, answered=given.answered, mailbox=given.mailbox)
    bytes.report(run)
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("stage", nargs="?", choices=[*STAGES, BYTES, DESK])
    parser.add_argument("--cost", type=int, metavar="RUNS", help="only our side, counters as JSON: no limit, no peers")
    of_bytes = parser.add_argument_group("of the stage bytes")
    of_bytes.add_argument("--events", type=int, default=bytes.EVENTS, help="purchases (%(default)s)")
    of_bytes.add_argument("--asked", choices=list(Asked), default=Asked.ALL, help="purchases that are asked about")
    of_bytes.add_argument("--answered", type=float, default=0.2, help="share of the last invitations (%(default)s)")
    of_bytes.add_argument("--mailbox", action="store_true", help="keep mails in the mailbox instead of sending them")
    return parser.parse_args()


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    given = _arguments()
    tune_gc()  # as in production
    if given.stage == BYTES:
        raise SystemExit(not uvloop.run(measure_bytes(given)))
    if given.stage == DESK:
        raise SystemExit(not uvloop.run(measure_desk()))
    chosen = [given.stage] if given.stage else list(STAGES)
    raise SystemExit(not uvloop.run(cost(chosen, given.cost) if given.cost else main(chosen)))
