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
from shared.config import DEVELOPMENT_LINK_KEYS
from shared.contract.vocabulary import Service
from shared.database.until_stopped import supervised
from shared.health import Health
from shared.runtime import ServiceContext, listen, open_event_log

_RUN: Mapping[Service, Callable[..., Coroutine[Any, Any, None]]] = {
    Service.TRIGGER: trigger.run,
    Service.DISPATCHER: dispatcher.run,
    Service.SCORING: scoring.run,
}
Door = tuple[socket.socket, socket.socket | None]
ALL = (Service.SCORING, Service.TRIGGER, Service.DISPATCHER)


_OF_ITS_OWN: Mapping[str, object] = {
    "environment": "development",
    "database_url": "",
    "database_pooled": "",
    "trigger_database_url": "",
    "dispatcher_database_url": "",
    "scoring_database_url": "",
    "migrate_on_start": True,
    "events_url": "",
    "crm_events_url": "",
    "topic_prefix": "",
    "kafka_protocol": "PLAINTEXT",
    "crm_kafka_protocol": "",
    "sources": None,
    "host": "127.0.0.1",
    "public_host": "",
    "staff_secret": "",
    "short_url": "",
    "link_keys": DEVELOPMENT_LINK_KEYS,
    "send": "mailbox",
}


@dataclass(frozen=True, slots=True)
class AllSettings:
    trigger: TriggerSettings
    dispatcher: DispatcherSettings
    scoring: ScoringSettings

    @classmethod
    def from_environment(cls, **overrides: object) -> AllSettings:
        return cls(TriggerSettings(**overrides), DispatcherSettings(**overrides), ScoringSettings(**overrides))  # type: ignore[arg-type]

    @classmethod
    def for_play(cls, **overrides: object) -> AllSettings:
        """Make those of a demo or a replay: whatever the environment says, nothing leaves, nobody's data is touched."""
        usual = cls.from_environment().trigger
        scoring = overrides.get("scoring_port", usual.scoring_port)
        trigger = overrides.get("trigger_port", usual.trigger_port)
        dispatcher = overrides.get("dispatcher_port", usual.dispatcher_port)
        addresses = {
            "public_url": f"http://127.0.0.1:{scoring}",
            "unsubscribe_url": f"http://127.0.0.1:{dispatcher}",
            "dashboard_url": f"http://127.0.0.1:{scoring}",
            "decisions_url": f"http://127.0.0.1:{trigger}/decisions",
            "mailbox_url": f"http://127.0.0.1:{dispatcher}/mailbox",
            "invitations_url": f"http://127.0.0.1:{dispatcher}/invitations",
        }
        return cls.from_environment(**{**_OF_ITS_OWN, **addresses, **overrides})

    def port(self, service: Service) -> int:
        return int(getattr(self.trigger, f"{service}_port"))


async def run(
    settings: AllSettings,
    stop: asyncio.Event,
    *,
    services: Sequence[Service] = ALL,
    ready: Callable[[dict[str, str]], None] = lambda _urls: None,
) -> None:
    """Start PostgreSQL if need be, migrate or wait for it, and run these services until told to stop."""
    with ExitStack() as sockets:
        doors = {service: _open_door(settings, service, sockets) for service in services}
        await _run(settings, stop, doors, ready)


async def _run(
    settings: AllSettings, stop: asyncio.Event, doors: Mapping[Service, Door], ready: Callable[[dict[str, str]], None]
) -> None:
    base = settings.trigger
    schemas = [*map(str, doors), *([] if base.events_url else [databases.TRANSPORT])]
    urls = await databases.urls_for(base, schemas)
    if base.migrate_on_start:
        databases.refuse_migration(base.database_options)
        await databases.migrate(urls)
    elif not await databases.until_migrated(urls, stop, base.database_options):
        return
    await databases.check_rooms(urls, base.database_options)
    await databases.check_search_paths(urls, base.database_options)
    clock = open_clock(base.clock)
    events_url = base.events_url or urls[databases.TRANSPORT]
    health = Health()
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        for service, (listener, public_listener) in doors.items():
            event_log = open_event_log(base, events_url)
            resources.push_async_callback(event_log.close)
            own = health.part(service)
            own.require("start", own.has_started)
            around = ServiceContext(urls[service], event_log, clock, stop, listener, public_listener, own)
            running = _RUN[service](getattr(settings, service), around)
            tasks.create_task(supervised(running, stop, name=service), name=service)
        ready(urls)


def _open_door(settings: AllSettings, service: Service, sockets: ExitStack) -> Door:
    host, outside = settings.trigger.host, settings.trigger.public_host
    setting = f"EARSHOT_{service.upper()}_PORT"
    port = settings.port(service)
    inner = sockets.enter_context(listen(host, port, setting=setting))
    return inner, sockets.enter_context(listen(outside, port, setting=setting)) if outside else None


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
