"""What a process knows of its own state: `/livez`, `/readyz`, the pages' `live` and `earshot doctor` read it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

SILENT_S = 60.0  # a loop that has not beaten for so long stands still
CHECK_S = 5.0  # the longest one check may take

Check = Callable[[], Awaitable[None]]


class NotReady(Exception):
    """This process cannot do its work now; the text names the reason and what to do, and no personal data."""


@dataclass(slots=True)
class Heartbeat:
    """The sign of life of one loop. It beats once a round, and also while it waits for a database, log or provider."""

    name: str
    silent_s: float
    _beaten_at: float = field(default_factory=time.monotonic, init=False)

    def beat(self) -> None:
        self._beaten_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._beaten_at > self.silent_s


@dataclass(slots=True)
class Health:
    """The loops of a process and the checks that must pass before it is ready; names are unique in a process."""

    _heartbeats: dict[str, Heartbeat] = field(default_factory=dict, init=False)
    _checks: dict[str, Check] = field(default_factory=dict, init=False)

    def heartbeat(self, name: str, *, silent_s: float = SILENT_S) -> Heartbeat:
        """Watch one more loop; it is said to stand still after `silent_s` seconds without a beat."""
        self._heartbeats[name] = heartbeat = Heartbeat(name, silent_s)
        return heartbeat

    def require(self, name: str, check: Check) -> None:
        """Add a check of `/readyz`; it raises NotReady with the reason. Any other error is a failure too."""
        self._checks[name] = check

    def silent(self) -> list[str]:
        """Name the loops that stand still."""
        return sorted(each.name for each in self._heartbeats.values() if each.is_silent)

    async def problems(self) -> dict[str, str]:
        """Run every check at once, each for at most CHECK_S seconds; return what failed, by name, with the reason."""
        names = list(self._checks)
        reasons = await asyncio.gather(*(self._reason(name) for name in names))
        failed = {name: reason for name, reason in zip(names, reasons, strict=True) if reason}
        return failed | dict.fromkeys(self.silent(), "stands still")

    async def _reason(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_S):
                await self._checks[name]()
        except NotReady as error:
            return str(error)
        except TimeoutError:
            return f"does not answer within {CHECK_S:g} s"
        except Exception as error:
            log.warning("check.failed", check=name, exc_info=error)
            return type(error).__name__
        return ""
