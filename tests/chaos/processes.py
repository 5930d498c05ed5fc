"""The dispatchers of a chaos run: real processes, killed at random and at named points, stopped past a lease."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy import databases, settled
from services.dispatcher.repository.steps import LEASE

POINTS = {  # the first consumes and relays most of the time, the other stands by for that
    "first": ("published", "handled", "handling"),
    "second": ("leased", "marked", "sent", "recording", "recorded"),
}
EVERY_POINT = [point for points in POINTS.values() for point in points]
PAST_LEASE_S = LEASE.total_seconds() + 3
TO_POINT_S = 45.0  # a point not reached by then is not waited for
LIVES_S = {"first": (5, 15), "second": (0, 4)}  # a group that lost a member waits for it


class EndedByItself(Exception):
    """A dispatcher ended although nobody ended it."""


@dataclass
class Processes:
    environment: Mapping[str, str]
    logs: Path
    chance: random.Random
    kills: int
    faults: Counter[str] = field(default_factory=Counter)
    done: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _started: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def run(self, name: str, stop: asyncio.Event) -> None:
        """Keep one dispatcher running, and kill it again and again until all together were killed often enough."""
        while not stop.is_set():
            if self.enough.is_set():
                await self._live_on(name, stop)
            else:
                await self._live_and_die(name)

    async def _live_and_die(self, name: str) -> None:
        point = self._point(POINTS[name])
        process, port = await self._start(name, crash_at=f"{point}:{self.chance.randint(1, 3)}" if point else "")
        await _until_up(process, port)  # on a busy machine it would die before it has begun
        try:
            async with asyncio.timeout(TO_POINT_S if point else self.chance.uniform(*LIVES_S[name])):
                code = await process.wait()
        except TimeoutError:
            point = None
            process.kill()
            code = await process.wait()
        if code != -signal.SIGKILL:
            raise EndedByItself(f"{name} ended with {code}")
        self._count(f"killed at {point}" if point else "killed at random")

    def _point(self, points: Sequence[str]) -> str | None:
        """Name the point to die at: each at least once, then any or none."""
        missing = [point for point in points if not self.faults[f"killed at {point}"]]
        return self.chance.choice(missing or [*points, None, None, None])

    async def _live_on(self, name: str, stop: asyncio.Event) -> None:
        process, port = await self._start(name)
        await _until_up(process, port)  # before that it does not know what SIGTERM asks
        stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(process.wait())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
        stopped.cancel()
        if (code := await ended) != 0 or not stop.is_set():
            raise EndedByItself(f"{name} ended with {code}")

    async def stand_still(self, name: str) -> None:
        """Let one dispatcher stop with messages marked, go on when its lease is long over, and end in peace."""
        process, _ = await self._start(name, crash_at=f"marked:{self.chance.randint(1, 3)}:STOP")
        while not _is_stopped(process.pid) and not self.enough.is_set():  # noqa: ASYNC110 - /proc sets no event
            await asyncio.sleep(0.1)
        if _is_stopped(process.pid):
            await asyncio.sleep(PAST_LEASE_S)
            process.send_signal(signal.SIGCONT)
            self.faults["stopped past its lease"] += 1
        process.terminate()
        await process.wait()

    def _count(self, fault: str) -> None:
        self.faults[fault] += 1
        self.done += 1
        if self.done >= self.kills and all(self.faults[f"killed at {point}"] for point in EVERY_POINT):
            self.enough.set()

    async def _start(self, name: str, *, crash_at: str = "") -> tuple[asyncio.subprocess.Process, int]:
        (port,) = settled.free_ports(1)
        own = {"EARSHOT_DISPATCHER_PORT": str(port), "EARSHOT_TEST_CRASH_AT": crash_at}
        with (self.logs / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "deploy.cli", "run", "dispatcher"),
                cwd=databases.ROOT,
                env={**self.environment, **own},
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process, port

    def end(self) -> None:
        """Kill what still runs: after a run that went wrong."""
        for process in self._started:
            if process.returncode is None:
                process.kill()


async def _until_up(process: asyncio.subprocess.Process, port: int) -> None:
    async with httpx.AsyncClient() as web:
        while process.returncode is None:
            try:
                await web.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
