"""Processes that do all due work when they are told to.

Each prints `ready`, and `done N` when nothing is due any more, with how much it did; it reads lines `go` and stops at
the end of its input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.trigger_processes import peak_mb

TIMEOUT_S = 120


async def work_when_told(work: Callable[[], Awaitable[int]]) -> None:
    """In such a process: do the work each time it is told to."""
    _report("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        _report(f"done {await work()}")


def _report(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the process that started it reads this


@dataclass(frozen=True, slots=True)
class WorkProcesses:
    processes: Sequence[Process]

    async def work(self, *, processes: int) -> tuple[float, int]:
        """Have so many of them work; return the seconds until each found nothing due, and how much they did."""
        began = time.perf_counter()
        working = self.processes[:processes]
        for process in working:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        done = await asyncio.gather(*(_until(process, b"done ") for process in working))
        return time.perf_counter() - began, sum(map(int, done))

    @property
    def ids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def peak_mb(self) -> float:
        """Return the highest peak memory of one of them, in MB."""
        return max(map(peak_mb, self.processes))


async def _until(process: Process, beginning: bytes) -> bytes:
    """Return the rest of the next line, which begins so."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        printed = await process.stdout.readline()
    if not printed.startswith(beginning):
        raise RuntimeError(f"a process printed {printed!r} instead of {beginning!r}")
    return printed.removeprefix(beginning)


@asynccontextmanager
async def open_processes(module: str, *arguments: str, processes: int) -> AsyncIterator[WorkProcesses]:
    """Start them, and wait until each can work."""
    command = (sys.executable, "-m", module, *arguments)
    started = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE) for _ in range(processes)]
    try:
        await asyncio.gather(*(_until(process, b"ready\n") for process in started))
        yield WorkProcesses(started)
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in started))
