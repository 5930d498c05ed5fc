"""The three services in one process, or any of them alone: the same code that runs as many processes on a cluster."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.dispatcher.config import DispatcherSettings
from services.scoring.config import ScoringSettings
from services.trigger.config import TriggerSettings

from deploy import databases
from services.dispatcher import main as dispatcher
from services.scoring import main as scoring
from services.trigger import main as trigger
from shared.clock import Clock, open_clock
from shared.runtime import listen, open_event_log
from shared.transport import EventLog
from shared.vocabulary import Service

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
    base = settings.trigger
    listeners = {service: _listen(settings, service) for service in services}
    schemas = [*map(str, services), *([] if base.events_url else [databases.TRANSPORT])]
    urls = await databases.urls_for(base, schemas)
    await databases.migrate(urls)
    clock = open_clock(base.clock)
    events_url = base.events_url or urls[databases.TRANSPORT]
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        for service in services:
            event_log = open_event_log(base, events_url)
            resources.push_async_callback(event_log.close)
            tasks.create_task(
                _start(
                    service, settings, urls[service], event_log, clock=clock, stop=stop, listener=listeners[service]
                ),
                name=service,
            )
        ready(urls)


def _listen(settings: AllSettings, service: Service) -> socket.socket:
    return listen(settings.trigger.host, settings.port(service), setting=f"EARSHOT_{service.upper()}_PORT")


async def _start(
    service: Service,
    settings: AllSettings,
    database_url: str,
    event_log: EventLog,
    *,
    clock: Clock,
    stop: asyncio.Event,
    listener: socket.socket,
) -> None:
    common = {"database_url": database_url, "event_log": event_log, "clock": clock, "stop": stop, "listener": listener}
    if service is Service.TRIGGER:
        await trigger.run(settings.trigger, **common)  # type: ignore[arg-type]
    elif service is Service.DISPATCHER:
        await dispatcher.run(settings.dispatcher, **common)  # type: ignore[arg-type]
    else:
        await scoring.run(settings.scoring, **common)  # type: ignore[arg-type]
