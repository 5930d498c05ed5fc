"""Earshot as real processes, and databases that stop answering."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from deploy import databases
from deploy.all_settings import ALL
from deploy.ports import free_ports
from shared import database_url
from shared.database import embedded
from tests import keys
from tests.staff import PROCESS_STAFF


@dataclass(slots=True)
class Earshot:
    """A process and where each of its services listens."""

    process: asyncio.subprocess.Process
    addresses: Mapping[str, str]
    web: httpx2.AsyncClient
    log: Path

    async def status(self, path: str, *, service: str = "scoring") -> int:
        return (await self.web.get(self.addresses[service] + path)).status_code

    async def problems(self) -> Mapping[str, str]:
        told = await self.web.get(self.addresses["scoring"] + "/readyz")
        problems: Mapping[str, str] = told.json().get("problems", {})
        return problems

    async def until_ready(self, status: int = 200) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    if await self.status("/readyz") == status:
                        return
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)

    async def until_it_says(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in self.log.read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.1)

    async def until_it_listens_no_more(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    async with httpx2.AsyncClient() as fresh:
                        await fresh.get(self.addresses["trigger"] + "/healthz")
                except httpx2.TransportError:
                    return

    async def told_to_stop(self) -> float:
        """Send SIGTERM and wait for the end; return after how many seconds it came."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await self.process.wait()
        return time.monotonic() - began


@asynccontextmanager
async def earshot(urls: Mapping[str, str], folder: Path, **settings: str) -> AsyncIterator[Earshot]:
    """Run all three services in one process on these databases."""
    ports = dict(zip(ALL, free_ports(3), strict=True))
    own = {
        **{f"{service}_database_url": urls[service] for service in ALL},
        **{f"{service}_port": str(port) for service, port in ports.items()},
        "events_url": urls["transport"],
        "data_dir": str(folder),
        "ticket_keys": keys.SETTINGS["ticket_keys"],
        **settings,
    }
    environment = {**os.environ, **{f"EARSHOT_{name.upper()}": value for name, value in own.items()}}
    log = folder / "earshot.log"
    with log.open("ab") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "run"),
            cwd=databases.ROOT,
            env=environment,
            stdout=written,
            stderr=written,
        )
    addresses = {str(service): f"http://127.0.0.1:{port}" for service, port in ports.items()}
    try:
        async with httpx2.AsyncClient(auth=PROCESS_STAFF, timeout=60) as web:
            yield Earshot(process, addresses, web, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def database_of_its_own(postgres: embedded.Embedded, urls: Mapping[str, str]) -> AsyncIterator[None]:
    """Have this database's commits wait for standbys, as a production server's do and the tests' server's do not."""
    admin = await database_url.connect(postgres.admin_url)
    name = database_url.parse(urls["trigger"]).database
    await admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    try:
        yield
    finally:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()


async def hang_commits(postgres: embedded.Embedded) -> None:
    """Have commits wait for a standby that is not there."""
    admin = await database_url.connect(postgres.admin_url)
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Listen on a port, take connections and never answer."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        server.close_clients() if hasattr(server, "close_clients") else None
