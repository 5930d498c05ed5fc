"""`make bench [STAGE=relay]`: runs the stages, and exits with 1 when one is below its gate or gave a wrong result."""

from __future__ import annotations

import argparse
import json
import sys

import uvloop

from shared import logging, runtime
from tests.bench import answers, frame, relay, sending, timers, trigger

STAGES: dict[str, frame.OpenBench] = {
    "answers": answers.open_bench,
    "relay": relay.open_bench,
    "sending": sending.open_bench,
    "timers": timers.open_bench,
    "trigger": trigger.open_bench,
}


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


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("stage", nargs="?", choices=STAGES)
    parser.add_argument("--cost", type=int, metavar="RUNS", help="only our side, counters as JSON: no limit, no peers")
    given = parser.parse_args()
    chosen = [given.stage] if given.stage else list(STAGES)
    runtime.tune_gc()  # as in production
    raise SystemExit(not uvloop.run(cost(chosen, given.cost) if given.cost else main(chosen)))
