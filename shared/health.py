"""What a process knows of its own state: `/livez`, `/readyz`, the pages' `live` and `earshot doctor` read it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from shared.waiting import convert_stray_cancellation

log = structlog.get_logger()

SILENT_S = 120.0  # a loop without a beat for so long stands still: a pool, a connect and a command may each take 30 s
OUTSIDE_SILENT_S = 600.0  # likewise of one that asks many things of a slow provider in a round
WAITING_S = 5.0  # an outage of a loop that is shorter says nothing about the process
CHECK_S = 5.0  # the longest one check may take

Check = Callable[[], Awaitable[None]]


class NotReady(Exception):
    """This process cannot do its work now; the text names the reason and what to do, and no personal data."""


@dataclass(slots=True)
class Heartbeat:
    """The sign of life of one loop. It beats once a round, and also while it waits for a database, log or provider."""

    name: str
    silent_s: float = SILENT_S
    _due_at: float = field(default_factory=time.monotonic, init=False)
    _waiting: tuple[float, str] | None = field(default=None, init=False)  # since when, and for what

    def beat(self, *, rest_s: float = 0.0) -> None:
        """Say that the loop works; `rest_s` is how long it may sleep now before it beats again."""
        self._due_at, self._waiting = time.monotonic() + rest_s, None

    def waits(self, reason: str) -> None:
        """Say that the loop lives and cannot work: it tries again after an outage."""
        self._due_at = time.monotonic()
        self._waiting = self._waiting or (self._due_at, reason)

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._due_at > self.silent_s

    @property
    def late_s(self) -> float:
        """Since when, in seconds, the loop should have worked and has not, because it waits or stands still."""
        return time.monotonic() - (self._waiting[0] if self._waiting else self._due_at)

    @property
    def problem(self) -> str:
        """Say why the loop does not work now; empty when it does."""
        if self.is_silent:
            return "stands still"
        since, reason = self._waiting or (time.monotonic(), "")
        return reason if time.monotonic() - since > WAITING_S else ""


@dataclass(frozen=True, slots=True)
class State:
    """What a process finds of itself, by name, with reasons: problems keep it from its work, warnings from a part."""

    problems: dict[str, str]
    warnings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Health:
    """The loops of a process and the checks that must pass before it is ready; the parts of a process share them."""

    prefix: str = ""
    _heartbeats: dict[str, Heartbeat] = field(default_factory=dict)
    _checks: dict[str, Check] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _advisory: set[str] = field(default_factory=set)

    def for_service(self, name: str) -> Health:
        """Make the health of one service in this process: its names begin with the service's, all else is shared."""
        return Health(f"{self.prefix}{name}.", self._heartbeats, self._checks, self._running, self._advisory)

    def heartbeat(self, name: str, *, silent_s: float = SILENT_S) -> Heartbeat:
        """Watch one more loop; it is said to stand still after `silent_s` seconds without a beat."""
        name = self._new(name, self._heartbeats)
        self._heartbeats[name] = heartbeat = Heartbeat(name, silent_s)
        return heartbeat

    def require(self, name: str, check: Check, *, advisory: bool = False) -> None:
        """Add a check of `/readyz`; it raises NotReady with the reason. Any other error is a failure too.

        One that is `advisory` only warns: the process does the rest of its work, and must not be taken out of service.
        """
        full = self._new(name, self._checks)
        self._checks[full] = check
        if advisory:
            self._advisory.add(full)

    def _new(self, name: str, known: dict[str, Heartbeat] | dict[str, Check]) -> str:
        if (full := self.prefix + name) in known:
            raise ValueError(f"{full} is watched already")
        return full

    def silent(self) -> list[str]:
        """Name the loops of the process that stand still."""
        return sorted(each.name for each in self._heartbeats.values() if each.is_silent)

    def loop_problems(self) -> dict[str, str]:
        """Return the loops of the process that do not work now, by name, with the reason."""
        return {each.name: each.problem for each in self._heartbeats.values() if each.problem}

    def is_late(self, name: str, seconds: float) -> bool:
        """Say whether a loop of this part has not worked for so many seconds; one that is not watched is never late."""
        heartbeat = self._heartbeats.get(self.prefix + name)
        return heartbeat is not None and heartbeat.late_s > seconds

    async def problems(self) -> dict[str, str]:
        """Return what keeps the process from its work, by name, with the reason."""
        return (await self.state()).problems

    async def state(self) -> State:
        """Run every check; takes at most CHECK_S seconds.

        All checks run at once. One that runs already, for another caller or since it hangs, is not begun again.
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
