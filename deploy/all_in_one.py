"""The three services in one process, or any of them alone: the same code that runs as many processes on a cluster."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy import databases
from services.dispatcher import main as dispatcher
from services.dispatcher.config import DispatcherSettings
from services.scoring import main as scoring
from services.scoring.config import ScoringSettings
from services.trigger import main as trigger
from services.trigger.config import TriggerSettings
from shared.clock import open_clock
from shared.runtime import listen, open_event_log
from shared.vocabulary import Service

_RUN: Mapping[Service, Callable[..., Coroutine[Any, Any, None]]] = {
    Service.TRIGGER: trigger.run,
    Service.DISPATCHER: dispatcher.run,
    Service.SCORING: scoring.run,
}
ALL = (Service.SCORING, Service.TRIGGER, Service.DISPATCHER)


@dataclass(frozen=True, slots=True)
class AllSettings:
    trigger: TriggerSettings
    dispatcher: DispatcherSettings
    scoring: ScoringSettings

    @classmethod
    def from_environment(cls, **overrides: object) -> AllSettings:
        return cls(TriggerSettings(**overrides), DispatcherSettings(**overrides), ScoringSettings(**overrides))  # type: ignore[arg-type]

    def port(self, service: Service) -> int:
        return int(getattr(getattr(self, service), f"{service}_port"))


async def run(
    settings: AllSettings,
    stop: asyncio.Event,
    *,
    services: Sequence[Service] = ALL,
    ready: Callable[[dict[str, str]], None] = lambda _urls: None,
) -> None:
    """Start PostgreSQL if need be, migrate, and run these services until told to stop."""
    with ExitStack() as sockets:
        listeners = {service: sockets.enter_context(_listen(settings, service)) for service in services}
        await _run(settings, stop, listeners, ready)


async def _run(
    settings: AllSettings,
    stop: asyncio.Event,
    listeners: Mapping[Service, socket.socket],
    ready: Callable[[dict[str, str]], None],
) -> None:
    base = settings.trigger
    schemas = [*map(str, listeners), *([] if base.events_url else [databases.TRANSPORT])]
    urls = await databases.urls_for(base, schemas)
    await databases.migrate(urls)
    clock = open_clock(base.clock)
    events_url = base.events_url or urls[databases.TRANSPORT]
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        for service, listener in listeners.items():
            event_log = open_event_log(base, events_url)
            resources.push_async_callback(event_log.close)
            running = _RUN[service](
                getattr(settings, service),
                database_url=urls[service],
                event_log=event_log,
                clock=clock,
                stop=stop,
                listener=listener,
            )
            tasks.create_task(running, name=service)
        ready(urls)


def _listen(settings: AllSettings, service: Service) -> socket.socket:
    return listen(settings.trigger.host, settings.port(service), setting=f"EARSHOT_{service.upper()}_PORT")


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
