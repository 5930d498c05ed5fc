"""The service processes of a chaos run: killed or terminated, at random and at crash points; one is paused."""

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

import httpx2

from deploy import databases
from deploy.ports import free_ports
from services.dispatcher.repository.steps import LEASE
from shared.contract.vocabulary import Service
from tests.staff import PROCESS_STAFF

PAST_LEASE_S = LEASE.total_seconds() + 3
REACH_POINT_S = 45.0  # when the crash point is not reached by then, the process is killed at random
END_S = 30.0  # after SIGTERM; 15 s are promised, on an idle machine
START_S = 180.0
RETRY_S = 2.0
CONNECTION_ERRORS = (httpx2.HTTPError, AttributeError)  # anyio on uvloop raises AttributeError for one just cut
CONSUMER_POINTS = ("published", "handled", "handling")


@dataclass(frozen=True, slots=True)
class Role:
    """A process that is always kept running, its crash points, and its life in seconds before a random kill."""

    name: str
    service: Service
    points: tuple[str, ...]
    lives_s: tuple[float, float]


ROLES = (
    # the first dispatcher consumes and relays most of the time, the second is on standby for that
    Role("first", Service.DISPATCHER, CONSUMER_POINTS, (5, 15)),
    Role("second", Service.DISPATCHER, ("leased", "marked", "sent", "recording", "recorded"), (0, 4)),
    Role("scoring", Service.SCORING, CONSUMER_POINTS, (10, 25)),  # a group waits for its only member
    Role("trigger", Service.TRIGGER, CONSUMER_POINTS, (10, 25)),
)
PAUSED = Role("paused", Service.DISPATCHER, (), (0, 0))


@dataclass(eq=False, slots=True)
class ServiceProcess:
    role: Role
    process: asyncio.subprocess.Process
    port: int
    up_since: float = 0.0
    is_stopping: bool = False  # it was terminated or paused: its health is not checked

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        return bool(self.up_since) and not self.is_stopping and self.process.returncode is None


@dataclass
class Processes:
    environment: Mapping[str, str]
    logs: Path
    rng: random.Random
    kills: int
    roles_to_cover: Sequence[Role] = ROLES
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kills_done: int = 0
    dispatchers_killed: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _reached: Counter[tuple[str, str]] = field(default_factory=Counter)
    _started: list[ServiceProcess] = field(default_factory=list)

    def up(self, service: Service | None = None) -> list[ServiceProcess]:
        """Return the processes that serve requests and are not stopping, of one service or of all."""
        return [each for each in self._started if each.is_up and service in (None, each.role.service)]

    async def keep_running(self, role: Role, stop: asyncio.Event) -> None:
        """Keep one process running, and kill it again and again until there were enough kills of all together."""
        while not stop.is_set():
            if self.enough.is_set():
                await self._run_until_stopped(role, stop)
            else:
                await self._run_until_killed(role)

    async def _run_until_killed(self, role: Role) -> None:
        point = self._point(role)
        running = await self._start(role, crash_at=f"{point}:{self.rng.randint(1, 3)}" if point else "")
        if not await self._is_up(running):
            await self._ended_by_itself(running, point)
            return
        try:
            async with asyncio.timeout(REACH_POINT_S if point else self.rng.uniform(*role.lives_s)):
                await running.process.wait()
        except TimeoutError:
            await self._kill_at_random(running)
        else:
            await self._ended_by_itself(running, point)

    async def _ended_by_itself(self, running: ServiceProcess, point: str | None) -> None:
        """Count the kill when it happened at the crash point; any other end of a process is an error."""
        if running.is_stopping:
            return
        if point and running.process.returncode == -signal.SIGKILL:
            self._reached[running.role.name, point] += 1
            self._count_kill(running, f"killed at {point}")
            return
        self.wrong.append(f"{running.role.name} ended by itself with {running.process.returncode}")
        await asyncio.sleep(RETRY_S)

    async def _kill_at_random(self, running: ServiceProcess) -> None:
        if self.rng.random() < 0.5:
            running.is_stopping = True
            running.process.kill()
            await running.process.wait()
            self._count_kill(running, "killed at random")
        else:
            await self.terminate(running)
            self._count_kill(running, "SIGTERM")

    async def terminate(self, running: ServiceProcess) -> None:
        """Send SIGTERM and wait; exit code 1 is allowed, for an outage can prevent an orderly stop."""
        running.is_stopping = True
        began = time.monotonic()
        if running.process.returncode is None:
            running.process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await running.process.wait()
        except TimeoutError:
            self.wrong.append(f"{running.role.name} still runs {END_S:g} s after SIGTERM")
            running.process.kill()
            await running.process.wait()
        code, took = running.process.returncode, time.monotonic() - began
        if code:
            self.faults["exit code 1 after SIGTERM"] += 1
        if code not in (0, 1, -signal.SIGKILL):
            self.wrong.append(f"{running.role.name} ended with {code}, {took:.1f} s after SIGTERM")

    def _point(self, role: Role) -> str | None:
        """Choose the crash point: each at least once, then any or none."""
        missing = [point for point in role.points if not self._reached[role.name, point]]
        return self.rng.choice(missing or [*role.points, *[None] * len(role.points)])

    async def _run_until_stopped(self, role: Role, stop: asyncio.Event) -> None:
        running = await self._start(role)
        if not await self._is_up(running):  # before that it does not handle SIGTERM
            await self._ended_by_itself(running, None)
            return
        stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(running.process.wait())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await self.terminate(running)
        else:
            await self._ended_by_itself(running, None)
        stopped.cancel()
        await ended

    async def pause_past_lease(self) -> None:
        """Pause one dispatcher with messages marked, resume it when its leases have expired, and terminate it.

        It is killed if it has marked none when the run has enough.
        """
        running = await self._start(PAUSED, crash_at=f"marked:{self.rng.randint(1, 3)}:STOP")
        running.is_stopping = True
        while not _is_stopped(running.process.pid) and not self.enough.is_set():  # noqa: ASYNC110 - /proc sets no event
            await asyncio.sleep(0.1)
        self.dispatchers_killed += 1
        if not _is_stopped(
            running.process.pid
        ):  # asked now, it might stop before it answers, and nobody would resume it
            running.process.kill()
            await running.process.wait()
            self.faults["killed before its pause"] += 1
            return
        await asyncio.sleep(PAST_LEASE_S)
        running.process.send_signal(signal.SIGCONT)
        self.faults["paused past its lease"] += 1
        if await self._answers(running):
            await self.terminate(running)

    def _count_kill(self, running: ServiceProcess, fault: str) -> None:
        self.faults[fault] += 1
        self.kills_done += 1
        self.dispatchers_killed += running.role.service is Service.DISPATCHER
        missing = [
            point for role in self.roles_to_cover for point in role.points if not self._reached[role.name, point]
        ]
        if self.kills_done >= self.kills and not missing:
            self.enough.set()

    async def _start(self, role: Role, *, crash_at: str = "") -> ServiceProcess:
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
        running = ServiceProcess(role, process, port)
        self._started = [each for each in self._started if each.process.returncode is None]
        self._started.append(running)
        return running

    async def _is_up(self, running: ServiceProcess) -> bool:
        """Wait until it answers, so that it is not killed before it has begun; False when it ended."""
        try:
            async with asyncio.timeout(START_S):
                if not await self._answers(running):
                    return False
        except TimeoutError:
            self.wrong.append(f"{running.role.name} does not answer {START_S:g} s after its start")
            running.is_stopping = True
            running.process.kill()
            await running.process.wait()
            return False
        running.up_since = time.monotonic()
        return True

    async def _answers(self, running: ServiceProcess) -> bool:
        async with httpx2.AsyncClient(auth=PROCESS_STAFF) as web:
            while running.process.returncode is None:
                try:
                    await web.get(f"{running.url}/healthz")
                except CONNECTION_ERRORS:
                    await asyncio.sleep(0.1)
                else:
                    return True
        return False

    def kill_all(self) -> None:
        """Kill all processes that still run after a failed run."""
        for running in self._started:
            if running.process.returncode is None:
                running.process.kill()


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
