"""Verifies the audit logs of all services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.operations.error_messages import explain_away
from shared.config import Settings
from shared.contract.vocabulary import Service, counted
from shared.database.audit.anchors import Anchor
from shared.database.audit.verify import ChainBroken, Verified, verify
from shared.database.opening import open_for_command


@dataclass(frozen=True, slots=True)
class LogReport:
    """What became of a service's log: `found` if it is as it was written, else `fault` says what is wrong."""

    service: Service
    found: Verified | None = None
    fault: str = ""

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.service}: {self.fault}"
        rows, anchors = counted(self.found.rows, "row"), counted(self.found.compared, "anchor")
        return f"{self.service}: {rows} as written, {anchors} compared{self._newest}"

    @property
    def _newest(self) -> str:
        """The newest anchor in the form that `--anchor` takes."""
        if self.found is None or not self.found.anchors:
            return ""
        newest = self.found.anchors[-1]
        return f"; keep elsewhere {self.service}:{newest.day}:{newest.hash.hex()}"


async def verify_all(settings: Settings, outside: Mapping[Service, Sequence[Anchor]]) -> list[LogReport]:
    """Verify each service's log, and compare it with anchors that were kept outside the databases."""
    return [await _verify(settings, service, outside.get(service, ())) for service in Service]


async def _verify(settings: Settings, service: Service, outside: Sequence[Anchor]) -> LogReport:
    try:
        async with open_for_command(settings, service) as database, database.sessions.begin() as session:
            return LogReport(service, await verify(session, outside))
    except ChainBroken as error:
        return LogReport(service, fault=str(error))
    except Exception as error:  # noqa: BLE001 - `explain_away` raises what nobody expects
        return LogReport(service, fault=explain_away(service, error, table="the audit log"))
