"""The cost of an item apart from its time: CPU of our processes and of PostgreSQL's, statements and commits."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.database.db import Database
from shared.database.embedded import Embedded

_PROC = Path("/proc")
_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Meter:
    """Adds the CPU time of PostgreSQL and of these processes to a stage's counters: the median of all repetitions."""

    counters: dict[str, float]
    server: Embedded
    processes: Sequence[int] = field(default_factory=lambda: [os.getpid()])
    _measured: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def measure(self, items: int) -> Iterator[None]:
        """Measure the CPU time of the `with` block, which handles so many items."""
        before = self._spent_s()
        yield
        for name, spent in self._spent_s().items():
            self._measured[name].append((spent - before[name]) * 1000 / items * 1000)
            self.counters[f"cpu_ms_per_1000_{name}"] = statistics.median(self._measured[name])

    def _spent_s(self) -> dict[str, float]:
        ours = sum(map(running_s, self.processes))
        return {
            "ours": ours,
            "postgres": _server_s(int((self.server.folder / "postmaster.pid").read_text().split()[0])),
        }


def running_s(process: int) -> float:
    """Return the CPU seconds of all threads of a process (https://docs.kernel.org/scheduler/sched-stats.html)."""
    threads = _PROC.glob(f"{process}/task/*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _server_s(postmaster: int) -> float:
    """Return the CPU seconds of the server's processes, also of ended ones: see cutime in proc_pid_stat(5)."""
    ended = _stat(postmaster)[15:17]  # cutime, cstime
    children = [int(path.name) for path in _PROC.glob("[0-9]*") if _parent(path) == postmaster]
    return sum(map(running_s, [postmaster, *children])) + sum(map(int, ended)) * _TICKS_S


def _stat(process: int) -> list[str]:
    """Return the fields of proc_pid_stat(5); the name, which may contain anything, is empty."""
    number, _, rest = (_PROC / str(process) / "stat").read_text().partition(" (")
    return [number, "", *rest.rpartition(") ")[2].split()]


def _parent(path: Path) -> int:
    try:
        return int(_stat(int(path.name))[3])
    except FileNotFoundError:  # it has just ended
        return 0


@dataclass(slots=True)
class StatementCount:
    sent: int = 0
    commits: int = 0

    def count(self, logged: Any) -> None:
        self.sent += 1
        self.commits += logged.query.startswith("COMMIT")


@asynccontextmanager
async def statements(database: Database, counters: dict[str, float], *, items: int) -> AsyncIterator[None]:
    """Count what the pool sends for so many items; not in timed runs, because counting takes time."""
    counted = StatementCount()

    def listen(connection: Any, _record: object) -> None:
        connection.driver_connection.add_query_logger(counted.count)

    sa.event.listen(database.engine.sync_engine, "connect", listen)
    await database.engine.dispose()
    yield
    sa.event.remove(database.engine.sync_engine, "connect", listen)
    await database.engine.dispose()
    counters["statements_per_1000"] = counted.sent / items * 1000
    counters["commits_per_1000"] = counted.commits / items * 1000
