"""The processes of a chaos run: killed and told to end, at random and at named points, stopped past a lease."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy import databases
from deploy.ports import free_ports
from services.dispatcher.repository.steps import LEASE
from shared.contract.vocabulary import Service

PAST_LEASE_S = LEASE.total_seconds() + 3
TO_POINT_S = 45.0  # a point not reached by then is not waited for
END_S = 30.0  # 15 s are promised, on a machine that has time
START_S = 180.0
RETRY_S = 2.0
GONE = (httpx.HTTPError, AttributeError)  # anyio, on uvloop, asks for the address of a connection that was just cut
ALL_CONSUME = ("published", "handled", "handling")


@dataclass(frozen=True, slots=True)
class Role:
    """One place in the run that always has a process, and how that process dies."""

    name: str
    service: Service
    points: tuple[str, ...]
    lives_s: tuple[float, float]


ROLES = (
    # the first dispatcher consumes and relays most of the time, the other one stands by for that
    Role("first", Service.DISPATCHER, ALL_CONSUME, (5, 15)),
    Role("second", Service.DISPATCHER, ("leased", "marked", "sent", "recording", "recorded"), (0, 4)),
    Role("scoring", Service.SCORING, ALL_CONSUME, (10, 25)),  # a group that lost its only member waits for it
    Role("trigger", Service.TRIGGER, ALL_CONSUME, (10, 25)),
)
DISPATCHERS = ROLES[:2]
STILL = Role("still", Service.DISPATCHER, (), (0, 0))


@dataclass(eq=False, slots=True)
class Running:
    role: Role
    process: asyncio.subprocess.Process
    port: int
    up_since: float = 0.0
    ends: bool = False  # it was told to end, or is stopped: what it says of itself is not asked

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        return bool(self.up_since) and not self.ends and self.process.returncode is None


@dataclass
class Processes:
    environment: Mapping[str, str]
    logs: Path
    chance: random.Random
    kills: int
    every_point_of: Sequence[Role] = ROLES
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: int = 0
    dispatchers_lost: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _reached: Counter[tuple[str, str]] = field(default_factory=Counter)
    _started: list[Running] = field(default_factory=list)

    def up(self, service: Service | None = None) -> list[Running]:
        """Return the processes that serve requests and were not told to end, of one service or of all."""
        return [each for each in self._started if each.is_up and service in (None, each.role.service)]

    async def keep(self, role: Role, stop: asyncio.Event) -> None:
        """Keep one process running, and end it again and again until all together were ended often enough."""
        while not stop.is_set():
            if self.enough.is_set():
                await self._live_on(role, stop)
            else:
                await self._live_and_die(role)

    async def _live_and_die(self, role: Role) -> None:
        point = self._point(role)
        running = await self._start(role, crash_at=f"{point}:{self.chance.randint(1, 3)}" if point else "")
        if not await self._is_up(running):
            await self._ended_by_itself(running, point)
            return
        try:
            async with asyncio.timeout(TO_POINT_S if point else self.chance.uniform(*role.lives_s)):
                await running.process.wait()
        except TimeoutError:
            await self._end_at_random(running)
        else:
            await self._ended_by_itself(running, point)

    async def _ended_by_itself(self, running: Running, point: str | None) -> None:
        """Count a death at the point that was asked for; any other that was not asked for is a failure."""
        if running.ends:
            return
        if point and running.process.returncode == -signal.SIGKILL:
            self._reached[running.role.name, point] += 1
            self._count(running, f"killed at {point}")
            return
        self.wrong.append(f"{running.role.name} ended by itself with {running.process.returncode}")
        await asyncio.sleep(RETRY_S)

    async def _end_at_random(self, running: Running) -> None:
        if self.chance.random() < 0.5:
            running.ends = True
            running.process.kill()
            await running.process.wait()
            self._count(running, "killed at random")
        else:
            await self.tell_to_end(running)
            self._count(running, "SIGTERM")

    async def tell_to_end(self, running: Running) -> None:
        """Send SIGTERM; 0 is the right end, and 1 where something outside kept it from an orderly one in time."""
        running.ends = True
        began = time.monotonic()
        if running.process.returncode is None:
            running.process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await running.process.wait()
        except TimeoutError:
            self.wrong.append(f"{running.role.name} runs {END_S:g} s after SIGTERM")
            running.process.kill()
            await running.process.wait()
        code, took = running.process.returncode, time.monotonic() - began
        if code:
            self.faults["ended late after SIGTERM"] += 1
        if code not in (0, 1, -signal.SIGKILL):
            self.wrong.append(f"{running.role.name} ended with {code}, {took:.1f} s after SIGTERM")

    def _point(self, role: Role) -> str | None:
        """Name the point to die at: each at least once, then any or none."""
        missing = [point for point in role.points if not self._reached[role.name, point]]
        return self.chance.choice(missing or [*role.points, *[None] * len(role.points)])

    async def _live_on(self, role: Role, stop: asyncio.Event) -> None:
        running = await self._start(role)
        if not await self._is_up(running):  # before that it does not know what SIGTERM asks
            await self._ended_by_itself(running, None)
            return
        stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(running.process.wait())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await self.tell_to_end(running)
        else:
            await self._ended_by_itself(running, None)
        stopped.cancel()
        await ended

    async def stand_still(self) -> None:
        """Let one dispatcher stop with messages marked, go on when its lease is long over, and end in peace."""
        running = await self._start(STILL, crash_at=f"marked:{self.chance.randint(1, 3)}:STOP")
        running.ends = True
        while not _is_stopped(running.process.pid) and not self.enough.is_set():  # noqa: ASYNC110 - /proc sets no event
            await asyncio.sleep(0.1)
        if _is_stopped(running.process.pid):
            await asyncio.sleep(PAST_LEASE_S)
            running.process.send_signal(signal.SIGCONT)
            self.faults["stopped past its lease"] += 1
            self.dispatchers_lost += 1
        if await self._answers(running):
            await self.tell_to_end(running)

    def _count(self, running: Running, fault: str) -> None:
        self.faults[fault] += 1
        self.done += 1
        self.dispatchers_lost += running.role.service is Service.DISPATCHER
        missing = [
            point for role in self.every_point_of for point in role.points if not self._reached[role.name, point]
        ]
        if self.done >= self.kills and not missing:
            self.enough.set()

    async def _start(self, role: Role, *, crash_at: str = "") -> Running:
        (port,) = free_ports(1)
        own = {f"EARSHOT_{role.service.upper()}_PORT": str(port), "EARSHOT_TEST_CRASH_AT": crash_at}
        with (self.logs / f"{role.name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "deploy.cli", "run", role.service),
                cwd=databases.ROOT,
                env={**self.environment, **own},
                stdout=log,
                stderr=log,
            )
        running = Running(role, process, port)
        self._started = [each for each in self._started if each.process.returncode is None]
        self._started.append(running)
        return running

    async def _is_up(self, running: Running) -> bool:
        """Wait until it serves; on a busy machine it would die before it has begun. False: it ended."""
        try:
            async with asyncio.timeout(START_S):
                if not await self._answers(running):
                    return False
        except TimeoutError:
            self.wrong.append(f"{running.role.name} does not serve {START_S:g} s after its start")
            running.ends = True
            running.process.kill()
            await running.process.wait()
            return False
        running.up_since = time.monotonic()
        return True

    async def _answers(self, running: Running) -> bool:
        async with httpx.AsyncClient() as web:
            while running.process.returncode is None:
                try:
                    await web.get(f"{running.url}/healthz")
                except GONE:
                    await asyncio.sleep(0.1)
                else:
                    return True
        return False

    def end(self) -> None:
        """Kill what still runs: after a run that went wrong."""
        for running in self._started:
            if running.process.returncode is None:
                running.process.kill()


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
