"""`earshot doctor`: what listens on the services' ports, and whether a running service is alive and ready."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import httpx2

from deploy.all_settings import ALL, AllSettings
from deploy.operations.findings import Finding

TIMEOUT_S = 8.0  # longer than a service's own checks may take
_LOOP_STOPPED = "restart it, and report it as a bug"
_NOT_READY = "repair the cause; the service continues by itself"


async def examine(settings: AllSettings) -> AsyncIterator[Finding]:
    reported: set[str] = set()  # services of one process report the same
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=False) as web:
        for service in ALL:
            port = settings.port(service)
            if not _is_busy(settings.trigger.host, port):
                yield Finding.ok(f"{service}: port {port} is free")
                continue
            found = await _ask(web, f"http://{settings.trigger.host}:{port}")
            if found is None:
                yield Finding.note(
                    f"{service}: port {port} is in use",
                    f"another program listens there: stop it, or set EARSHOT_{service.upper()}_PORT",
                )
                continue
            if not found:
                yield Finding.ok(f"{service}: running on port {port}, alive and ready")
            for finding in found:
                if finding.text not in reported:
                    reported.add(finding.text)
                    yield finding


def _is_busy(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


async def _ask(web: httpx2.AsyncClient, address: str) -> list[Finding] | None:
    """Ask a service for its health; None when no service of Earshot answers at this address."""
    try:
        alive, ready = await web.get(f"{address}/livez"), await web.get(f"{address}/readyz")
        loops: list[str] = alive.json().get("loops", [])
        problems: Mapping[str, str] = ready.json().get("problems", {})
        warnings: Mapping[str, str] = ready.json().get("warnings", {})
    except (httpx2.HTTPError, ValueError, AttributeError):
        return None
    if HTTPStatus.NOT_FOUND in (alive.status_code, ready.status_code):
        return None
    return [
        *(Finding.fail(f"running: {loop} is stuck", _LOOP_STOPPED) for loop in loops),
        *(
            Finding.fail(f"running: {name}: {reason}", _NOT_READY)
            for name, reason in problems.items()
            if name not in loops
        ),
        *(Finding.fail(f"running: {name}: {reason}", _NOT_READY) for name, reason in warnings.items()),
    ]
