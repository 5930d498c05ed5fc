"""Real reverse proxies with the files of `deploy/proxy`, on free ports of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from deploy import databases
from deploy.ports import free_ports
from shared.contract.vocabulary import Service

FOLDER = databases.ROOT / "deploy/proxy"
CADDYFILE, NGINX_CONF = FOLDER / "Caddyfile", FOLDER / "nginx.conf"
_PORTS = {Service.SCORING: 8000, Service.TRIGGER: 8001, Service.DISPATCHER: 8002}  # in nginx.conf


def program(name: str) -> str:
    """Return its path. Skip where it is missing; under EARSHOT_REQUIRE_PROXY=1 that is a failure."""
    if (found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")) is not None:
        return found
    if os.environ.get("EARSHOT_REQUIRE_PROXY") == "1":
        pytest.fail(f"{name} is required here and not installed")
    pytest.skip(f"not installed here: {name}")


def without_staff(text: str) -> str:
    """Return a proxy's file with its line in force that keeps pages for staff off the site."""
    changed, count = re.subn(r"# (?=respond @staff|if \(\$earshot_staff\))", "", text)
    assert count == 1
    return changed


@asynccontextmanager
async def caddy(services: Mapping[Service, int], port: int, folder: Path, *, staff: bool = True) -> AsyncIterator[None]:
    """Run Caddy on this port in front of the services' ports."""
    site = folder / "Caddyfile"
    site.write_text(CADDYFILE.read_text() if staff else without_staff(CADDYFILE.read_text()))
    main = folder / "main"
    main.write_text(f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tstorage file_system {folder}\n}}\nimport {site}\n")
    addresses = {service.upper(): f"127.0.0.1:{number}" for service, number in services.items()}
    environment = {"SITE": f"http://127.0.0.1:{port}", "HOME": str(folder), "PATH": os.environ["PATH"], **addresses}
    command = (program("caddy"), "run", "--config", str(main), "--adapter", "caddyfile")
    async with _running(*command, port=port, log=folder / "caddy.log", environment=environment):
        yield


@asynccontextmanager
async def nginx(services: Mapping[Service, int], port: int, folder: Path, *, staff: bool = True) -> AsyncIterator[None]:
    """Run nginx on this port in front of the services' ports."""
    text = NGINX_CONF.read_text() if staff else without_staff(NGINX_CONF.read_text())
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    for service, number in services.items():
        text = text.replace(f"server 127.0.0.1:{_PORTS[service]};", f"server 127.0.0.1:{number};")
    (folder / "earshot.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/nginx.log;"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/earshot.conf; }}"
    )
    command = (program("nginx"), "-p", str(folder), "-c", str(main))
    async with _running(*command, port=port, log=folder / "nginx.out", environment=dict(os.environ)):
        yield


PROXIES = {"caddy": caddy, "nginx": nginx}


@asynccontextmanager
async def _running(*command: str, port: int, log: Path, environment: Mapping[str, str]) -> AsyncIterator[None]:
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(*command, stdout=written, stderr=written, env=environment)
    try:
        await _until_it_answers(process, port, log)
        yield
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_it_answers(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as web:
        while process.returncode is None:
            try:
                await web.get(f"http://127.0.0.1:{port}/healthz")
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail(f"{log.name}: the proxy ended")


def proxy_port() -> int:
    return free_ports(1)[0]
