"""The services as processes on a real Kafka, with two dispatchers and a mail server that keeps what it gets."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Self

import httpx2
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy import databases
from deploy.addresses import address
from deploy.all_settings import ALL
from deploy.demo import quiescence
from deploy.operations.replay import isolated_settings
from deploy.ports import free_ports
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.runtime import open_event_log
from tests import keys
from tests.journey.stage import MONDAY, Stage
from tests.staff import PROCESS_STAFF

LINK = re.compile(r"http://\S+/s/[\w-]{22}\.\d+")


class MailSink:
    """A mail server that keeps every mail, except to the addresses it refuses."""

    def __init__(self, *, refused: frozenset[str] = frozenset()) -> None:
        self.mails: list[tuple[str, str, str]] = []
        self._refused = refused
        self._controller = Controller(self, hostname="127.0.0.1", port=free_ports(1)[0])

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self._refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain",))
        assert body is not None
        self.mails.append((envelope.rcpt_tos[0], str(mail["message-id"]), body.get_content()))
        return "250 accepted"

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}"

    def per_message_id(self) -> Counter[str]:
        return Counter(message_id for _, message_id, _ in self.mails)

    def link_to(self, address: str) -> str:
        text = next(text for to, _, text in self.mails if to == address)
        found = LINK.search(text)
        assert found is not None
        return found.group()

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@dataclass(slots=True)
class ServiceCluster:
    environment: Mapping[str, str]
    logs: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, name: str, service: str, **extra: str) -> None:
        log = (self.logs / f"{name}.log").open("ab")
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.cli",
            "run",
            service,
            cwd=databases.ROOT,
            env={**self.environment, **extra},
            stdout=log,
            stderr=log,
        )
        log.close()

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        process = self.processes.pop(name)
        if process.returncode is not None:
            said = (self.logs / f"{name}.log").read_text(errors="replace")[-4000:]
            raise AssertionError(f"{name} ended by itself with {process.returncode}: {said}")
        process.send_signal(number)
        return await process.wait()

    async def stop(self) -> dict[str, int]:
        """Stop every process with SIGTERM, and return their exit codes."""
        return {name: await self.kill(name, signal.SIGTERM) for name in list(self.processes)}


@asynccontextmanager
async def open_cluster(
    urls: Mapping[str, str], folder: Path, *, events_url: str, smtp_url: str
) -> AsyncIterator[tuple[Stage, ServiceCluster]]:
    service_urls = {f"{service}_database_url": urls[service] for service in ALL}
    settings = isolated_settings(folder, events_url=events_url, **service_urls, **keys.SETTINGS)
    assert settings.trigger.clock is not None
    clock = StoredClock.create(settings.trigger.clock, start=MONDAY, speed=0)
    own: dict[str, Any] = {
        **service_urls,
        **keys.SETTINGS,
        "events_url": events_url,
        "clock": settings.trigger.clock,
        "scoring_port": settings.scoring.scoring_port,
        "trigger_port": settings.trigger.trigger_port,
        "dispatcher_port": settings.dispatcher.dispatcher_port,
        "public_url": settings.trigger.public_url,
        "unsubscribe_url": address(settings, Service.DISPATCHER),  # no proxy makes these processes one address
        "send": "live",
        "smtp_url": smtp_url,
    }
    environment = {**os.environ, **{f"EARSHOT_{name.upper()}": str(value) for name, value in own.items()}}
    cluster = ServiceCluster(environment, folder)
    second = {"EARSHOT_DISPATCHER_PORT": str(free_ports(1)[0])}
    async with AsyncExitStack() as resources:
        try:
            await cluster.start("scoring", "scoring")
            await cluster.start("trigger", "trigger")
            await cluster.start("dispatcher", "dispatcher")
            await cluster.start("dispatcher-2", "dispatcher", **second)
            web = await resources.enter_async_context(httpx2.AsyncClient(auth=PROCESS_STAFF, timeout=30))
            event_log = open_event_log(settings.trigger, events_url)
            resources.push_async_callback(event_log.close)
            watch = await resources.enter_async_context(quiescence.watch(urls, event_log, clock))
            stage = Stage(settings, clock, watch, web, urls)
            for base in (stage.scoring, stage.trigger, stage.dispatcher):
                await until_ready(web, base)
            yield stage, cluster
        finally:
            for name in list(cluster.processes):
                await cluster.kill(name)


async def until_ready(web: httpx2.AsyncClient, base: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await web.get(f"{base}/readyz")).is_success:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
