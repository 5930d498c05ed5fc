"""State of a process: heartbeats of its loops and readiness checks, for `/livez`, `/readyz` and `earshot doctor`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from shared.waiting import convert_stray_cancellation

log = structlog.get_logger()

SILENT_S = 120.0  # a loop without a beat for so long counts as stuck: pool, connect and command may each take 30 s
OUTSIDE_SILENT_S = 600.0  # likewise, for a loop that makes many calls to a slow provider in one round
WAITING_S = 5.0  # shorter outages of a loop are not reported
CHECK_S = 5.0  # the longest one check may take

Check = Callable[[], Awaitable[None]]


class NotReady(Exception):
    """This process cannot do its work now; the text names the reason and what to do, and no personal data."""


@dataclass(slots=True)
class Heartbeat:
    """Sign of life of one loop, which calls `beat` once a round, or `waits` while a database, log or provider is away.

    `silent_s` is after how many seconds without either the loop counts as stuck.
    """

    name: str
    silent_s: float = SILENT_S
    _due_at: float = field(default_factory=time.monotonic, init=False)
    _waiting: tuple[float, str] | None = field(default=None, init=False)  # since when, and for what

    def beat(self, *, rest_s: float = 0.0) -> None:
        """Note that the loop works; `rest_s` is how many seconds it may sleep now before the next beat."""
        self._due_at, self._waiting = time.monotonic() + rest_s, None

    def waits(self, reason: str) -> None:
        """Note that the loop runs, but an outage keeps it from working; `reason` says what does not answer."""
        self._due_at = time.monotonic()
        self._waiting = self._waiting or (self._due_at, reason)

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._due_at > self.silent_s

    @property
    def late_s(self) -> float:
        """For how many seconds the loop has not worked, because of an outage or because it is stuck."""
        return time.monotonic() - (self._waiting[0] if self._waiting else self._due_at)

    @property
    def problem(self) -> str:
        """Why the loop does not work now; empty when it does."""
        if self.is_silent:
            return "is stuck"
        since, reason = self._waiting or (time.monotonic(), "")
        return reason if time.monotonic() - since > WAITING_S else ""


@dataclass(frozen=True, slots=True)
class State:
    """Reasons why checks fail or loops do not work, by name: `problems` stop the process's work, `warnings` a part."""

    problems: dict[str, str]
    warnings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Health:
    """The loops of a process and the checks of its readiness; all services of the process share them."""

    prefix: str = ""
    _heartbeats: dict[str, Heartbeat] = field(default_factory=dict)
    _checks: dict[str, Check] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _advisory: set[str] = field(default_factory=set)

    def for_service(self, name: str) -> Health:
        """Return a view that prefixes names with the service's name; loops and checks are shared with the process."""
        return Health(f"{self.prefix}{name}.", self._heartbeats, self._checks, self._running, self._advisory)

    def heartbeat(self, name: str, *, silent_s: float = SILENT_S) -> Heartbeat:
        """Add a loop; after `silent_s` seconds without a beat it counts as stuck."""
        name = self._new(name, self._heartbeats)
        self._heartbeats[name] = heartbeat = Heartbeat(name, silent_s)
        return heartbeat

    def require(self, name: str, check: Check, *, advisory: bool = False) -> None:
        """Add a check of `/readyz`, which raises NotReady with the reason; any other error fails it too.

        An `advisory` check only warns: the process can do the rest of its work and stays in service.
        """
        full = self._new(name, self._checks)
        self._checks[full] = check
        if advisory:
            self._advisory.add(full)

    def _new(self, name: str, known: dict[str, Heartbeat] | dict[str, Check]) -> str:
        if (full := self.prefix + name) in known:
            raise ValueError(f"{full} is registered already")
        return full

    def silent(self) -> list[str]:
        """Name the loops of the process that are stuck."""
        return sorted(each.name for each in self._heartbeats.values() if each.is_silent)

    def loop_problems(self) -> dict[str, str]:
        """Return why loops of the process do not work now, by name."""
        return {each.name: each.problem for each in self._heartbeats.values() if each.problem}

    def is_late(self, name: str, seconds: float) -> bool:
        """Say whether a loop of this service has not worked for so many seconds; False for an unknown name."""
        heartbeat = self._heartbeats.get(self.prefix + name)
        return heartbeat is not None and heartbeat.late_s > seconds

    async def problems(self) -> dict[str, str]:
        """Return why the process cannot do its work, by the name of the check or loop."""
        return (await self.state()).problems

    async def state(self) -> State:
        """Run every check; takes at most CHECK_S seconds.

        Checks run concurrently. A check that still runs, for another caller or because it hangs, is not started again.
        """
        for name, check in self._checks.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = asyncio.create_task(_reason(name, check), name=f"check {name}")
        running = dict(self._running)
        if running:
            await asyncio.wait(running.values(), timeout=CHECK_S + 0.5)
        reasons = {name: task.result() if task.done() else _late() for name, task in running.items()}
        failed = {name: reason for name, reason in reasons.items() if reason}
        warnings = {name: reason for name, reason in failed.items() if name in self._advisory}
        problems = {name: reason for name, reason in failed.items() if name not in self._advisory}
        return State(problems | self.loop_problems(), warnings)


async def _reason(name: str, check: Check) -> str:
    try:
        with convert_stray_cancellation():
            async with asyncio.timeout(CHECK_S):
                await check()
    except NotReady as error:
        return str(error)
    except TimeoutError:
        return _late()
    except Exception as error:
        log.warning("check.failed", check=name, exc_info=error)
        return type(error).__name__
    return ""


def _late() -> str:
    return f"does not answer within {CHECK_S:g} s"
