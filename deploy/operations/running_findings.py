"""What `earshot doctor` finds where services should listen: who has the port, and what it says of itself."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import httpx

from deploy import all_in_one
from deploy.all_in_one import AllSettings
from deploy.operations.findings import Finding, fail, note, ok

WITHIN_S = 8.0  # longer than a service's own checks may take
_STANDS_STILL = "restart it, and report it as a bug"
_NOT_READY = "mend what it names; it goes on by itself"


async def examine(settings: AllSettings) -> AsyncIterator[Finding]:
    said: set[str] = set()  # services of one process say the same
    async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as web:
        for service in all_in_one.ALL:
            port = settings.port(service)
            if not _is_busy(settings.trigger.host, port):
                yield ok(f"{service}: port {port} is free")
                continue
            found = await _asked(web, f"http://{settings.trigger.host}:{port}")
            if found is None:
                yield note(
                    f"{service}: port {port} is in use", f"not by Earshot: stop it, or EARSHOT_{service.upper()}_PORT"
                )
                continue
            if not found:
                yield ok(f"{service}: running on port {port}, alive and ready")
            for finding in found:
                if finding.text not in said:
                    said.add(finding.text)
                    yield finding


def _is_busy(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


async def _asked(web: httpx.AsyncClient, address: str) -> list[Finding] | None:
    """Ask a service how it is; None when it is no service of ours, or does not answer."""
    try:
        alive, ready = await web.get(f"{address}/livez"), await web.get(f"{address}/readyz")
        loops: list[str] = alive.json().get("loops", [])
        problems: Mapping[str, str] = ready.json().get("problems", {})
        warnings: Mapping[str, str] = ready.json().get("warnings", {})
    except (httpx.HTTPError, ValueError, AttributeError):
        return None
    if HTTPStatus.NOT_FOUND in (alive.status_code, ready.status_code):
        return None
    return [
        *(fail(f"running: {loop} stands still", _STANDS_STILL) for loop in loops),
        *(fail(f"running: {name}: {reason}", _NOT_READY) for name, reason in problems.items() if name not in loops),
        *(fail(f"running: {name}: {reason}", _NOT_READY) for name, reason in warnings.items()),
    ]
