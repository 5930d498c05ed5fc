"""`make bench [STAGE=relay]`: run the stages and exit with 1 when one is under its gate or not right."""

from __future__ import annotations

import argparse

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


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("stage", nargs="?", choices=STAGES)
    chosen = parser.parse_args().stage
    runtime.collect_seldom()  # as in production
    raise SystemExit(not uvloop.run(main([chosen] if chosen else list(STAGES))))
