"""Runs a benchmark: five repetitions of limit, ours and peers, limit; prints a table and writes `build/bench.json`.

A ratio is ours ÷ the mean of the two limits of the same repetition; a repetition whose two limits differ by a factor
of more than 1.5 is void. A run with a wrong result fails.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from deploy import databases
from shared.database import embedded

OUTPUT = Path("build/bench.json")
REPETITIONS = 5
VOID_OVER = 1.5

Measure = Callable[[], Awaitable[float]]


class Bench(Protocol):
    """A stage that is set up; every measure returns items per second and raises WrongResult."""

    name: str
    gate: float
    goal: float
    counters: dict[str, float]

    async def limit(self) -> float: ...

    async def ours(self) -> float: ...

    @property
    def peers(self) -> Mapping[str, Measure]: ...


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def temporary_database() -> AsyncIterator[Mapping[str, str]]:
    """Start a migrated database and return one URL per schema; it is deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    server = embedded.start(folder)
    try:
        urls = await embedded.prepare(server, "bench")
        await databases.migrate(urls)
        yield urls
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class WrongResult(Exception):
    """The result of a measured run is wrong, so its speed means nothing."""


@dataclass(frozen=True, slots=True)
class Repetition:
    limits: tuple[float, float]
    ours: float
    peers: Mapping[str, float]

    @property
    def void(self) -> bool:
        return max(self.limits) / min(self.limits) > VOID_OVER

    @property
    def ratio(self) -> float:
        return self.ours / statistics.mean(self.limits)


@dataclass(frozen=True, slots=True)
class BenchResult:
    stage: str
    ours_per_s: float
    limit_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float
    gate: float
    goal: float
    peers: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)
    valid: bool = True
    least: Mapping[str, float] = field(default_factory=dict)  # the least factor over a peer's rate

    @property
    def passed(self) -> bool:
        faster = all(self.ours_per_s >= times * self.peers[name] for name, times in self.least.items())
        return self.valid and faster and self.ratio >= self.gate


async def run(bench: Bench, *, repetitions: int = REPETITIONS, seed: int = 7) -> BenchResult:
    """Measure a stage; the order of ours and the peers is shuffled in each repetition."""
    rng = random.Random(seed)
    measured = [await _repeat(bench, rng) for _ in range(repetitions)]
    counted = [repetition for repetition in measured if not repetition.void]
    return summarise(bench, counted or measured, valid=bool(counted))


async def _repeat(bench: Bench, rng: random.Random) -> Repetition:
    first = await bench.limit()
    between: list[tuple[str, Measure]] = [("", bench.ours), *bench.peers.items()]
    rng.shuffle(between)
    rates = {name: await measure() for name, measure in between}
    ours = rates.pop("")
    return Repetition((first, await bench.limit()), ours, rates)


def summarise(bench: Bench, repetitions: Sequence[Repetition], *, valid: bool) -> BenchResult:
    ratios = [repetition.ratio for repetition in repetitions]
    return BenchResult(
        stage=bench.name,
        ours_per_s=round(statistics.median(repetition.ours for repetition in repetitions)),
        limit_per_s=round(statistics.median(statistics.mean(repetition.limits) for repetition in repetitions)),
        ratio=round(statistics.median(ratios), 3),
        ratio_min=round(min(ratios), 3),
        ratio_max=round(max(ratios), 3),
        gate=bench.gate,
        goal=bench.goal,
        peers={
            name: round(statistics.median(repetition.peers[name] for repetition in repetitions)) for name in bench.peers
        },
        counters={name: round(value, 2) for name, value in bench.counters.items()},
        valid=valid,
        least=getattr(bench, "least", {}),
    )


def report(results: Sequence[BenchResult], *, output: Path = OUTPUT) -> bool:
    """Print the table, write the JSON, and return whether every stage passed."""
    table = Table("stage", "ours /s", "limit /s", "ratio", "range", "gate", "goal", "peers /s", "right")
    for result in results:
        table.add_row(
            result.stage,
            f"{result.ours_per_s:,.0f}",
            f"{result.limit_per_s:,.0f}",
            f"{result.ratio:.2f}",
            f"{result.ratio_min:.2f} … {result.ratio_max:.2f}",
            f"{result.gate:.2f}",
            f"{result.goal:.2f}",
            ", ".join(f"{name} {rate:,.0f}" for name, rate in result.peers.items()) or "-",
            "yes" if result.valid else "NO",
        )
    console = Console(width=140)
    console.print(table)
    for result in results:
        console.print(f"{result.stage}: " + ", ".join(f"{name} {value:g}" for name, value in result.counters.items()))
    write([asdict(result) for result in results], output=output)
    return all(result.passed for result in results)


def write(results: Sequence[Mapping[str, Any]], *, output: Path = OUTPUT) -> None:
    """Put the results of these stages into the JSON file; those of other stages stay."""
    stored = json.loads(output.read_text()) if output.exists() else []
    by_stage = {result["stage"]: result for result in [*stored, *results]}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(list(by_stage.values()), indent=2) + "\n")
