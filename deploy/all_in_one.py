"""Runs the three services in one process, or any of them in a process of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from deploy import databases
from deploy.all_settings import ALL, AllSettings
from services.dispatcher import main as dispatcher
from services.scoring import main as scoring
from services.trigger import main as trigger
from shared.clock import open_clock
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.until_stopped import supervised
from shared.health import Health
from shared.runtime import ServiceContext, listen, open_event_log
from shared.waiting import wait_for_any
from shared.web.connection_limits import ConnectionLimits
from shared.web.front import Front
from shared.web.staff.shared_sessions import SharedSessions

_RUN: Mapping[Service, Callable[..., Coroutine[Any, Any, None]]] = {
    Service.TRIGGER: trigger.run,
    Service.DISPATCHER: dispatcher.run,
    Service.SCORING: scoring.run,
}
_Listeners = tuple[socket.socket, socket.socket | None]  # the service's, and the one for public paths


async def run(  # noqa: PLR0913 - independent choices of whoever runs the services
    settings: AllSettings,
    stop: asyncio.Event,
    *,
    services: Sequence[Service] = ALL,
    ready: Callable[[dict[str, str]], None] = lambda _urls: None,
    first_link: Callable[[str], None] | None = None,
    samples: bool = False,
) -> None:
    """Migrate the databases, or wait until they are migrated, and run these services until `stop` is set.

    Starts the embedded PostgreSQL for a schema without a configured URL. If all three services run, scoring's port
    serves the paths of all, and the other ports those of their own service. `ready` is called with the URL of each
    schema's database when every service has started. `first_link` and `samples`: see ServiceContext.
    """
    with ExitStack() as sockets:
        listeners = {service: _listen(settings, service, sockets) for service in services}
        await _run(settings, stop, listeners, ready, first_link=first_link, samples=samples)


async def _run(
    settings: AllSettings,
    stop: asyncio.Event,
    listeners: Mapping[Service, _Listeners],
    ready: Callable[[dict[str, str]], None],
    **staff: Any,
) -> None:
    base = settings.trigger
    urls = await _prepared(base, listeners, stop)
    if urls is None:
        return
    clock, health = open_clock(base.clock), Health()
    front = Front() if set(listeners) == set(ALL) else None
    sessions = SharedSessions() if Service.SCORING in listeners else None
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        contexts = []
        for service, (listener, public_listener) in listeners.items():
            event_log = open_event_log(base, base.events_url or urls[databases.TRANSPORT])
            resources.push_async_callback(event_log.close)
            own = health.for_service(service)
            context = ServiceContext(
                urls[service],
                event_log,
                clock,
                stop,
                listener,
                public_listener,
                own,
                front,
                limits=ConnectionLimits.of(base),
                staff_sessions=sessions,
                **staff,
            )
            own.require("start", context.has_started)
            contexts.append(context)
            running = _RUN[service](getattr(settings, service), context)
            tasks.create_task(supervised(running, stop, name=service), name=service)
        await _until_started(contexts, stop)
        if not stop.is_set():
            ready(urls)


async def _prepared(base: Settings, services: Iterable[Service], stop: asyncio.Event) -> dict[str, str] | None:
    """Return the URL of each migrated schema; None if `stop` is set while this waits for `earshot migrate`."""
    urls = await databases.urls_for(base, databases.schemas_of(base, services))
    if base.migrate_on_start:
        databases.refuse_migration(base.database_options)
        await databases.migrate(urls)
    elif not await databases.until_migrated(urls, stop, base.database_options):
        return None
    await databases.check_capacities(urls, base.database_options)
    await databases.check_search_paths(urls, base.database_options)
    return urls


async def _until_started(contexts: Sequence[ServiceContext], stop: asyncio.Event) -> None:
    for context in contexts:
        while not (context.started.is_set() or stop.is_set()):
            await wait_for_any(context.started, stop, timeout_s=60)


def _listen(settings: AllSettings, service: Service, sockets: ExitStack) -> _Listeners:
    host, public_host = settings.trigger.host, settings.trigger.public_host
    setting = f"EARSHOT_{service.upper()}_PORT"
    port = settings.port(service)
    inner = sockets.enter_context(listen(host, port, setting=setting))
    return inner, sockets.enter_context(listen(public_host, port, setting=setting)) if public_host else None
