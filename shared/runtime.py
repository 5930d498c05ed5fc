"""What every process has: signal handlers, listening sockets, the event log."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from shared.clock import Clock
from shared.config import Settings
from shared.database import embedded
from shared.garbage import tune_gc
from shared.health import Health, NotReady
from shared.messaging.transport import EventLog, open_log
from shared.web.connection_limits import ConnectionLimits

if TYPE_CHECKING:
    from shared.messaging.transport.kafka import KafkaSecurity
    from shared.web.front import Front
from shared.web.staff.shared_sessions import SharedSessions

log = structlog.get_logger()

END_S = 12.0  # for tasks to end after a signal: a send may take 10 s, and its result must be stored
CANCEL_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a process passes to each service it runs.

    `public_listener` serves only the paths that are not for staff. `front` is set when all services run in this
    process: scoring's listeners serve it in place of scoring's app. A service sets `started` when all its tasks run.
    `staff_sessions` are shared by the services of one process. `samples`: staff may become sample people, in the
    demo. Where `first_link` is given and nobody can log in yet, scoring calls it with the link of the first
    administrator.
    """

    database_url: str
    event_log: EventLog
    clock: Clock
    stop: asyncio.Event
    listener: socket.socket
    public_listener: socket.socket | None = None
    health: Health = field(default_factory=Health)
    front: Front | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    staff_sessions: SharedSessions | None = None
    samples: bool = False
    first_link: Callable[[str], None] | None = None

    async def has_started(self) -> None:
        """Raise NotReady until `started` is set: a check for `Health.require`."""
        if not self.started.is_set():
            raise NotReady("has not started yet")


class StoppedLate(Exception):
    """A task did not end in time after the signal; the text names it. The outcome of its sends may be unknown."""


class PortBusy(Exception):
    """A port cannot be used; the text names the setting to change."""


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGINT, SIGTERM and SIGHUP; a second signal kills the process."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        faulthandler.dump_traceback_later(END_S + CANCEL_S + 0.5, exit=True)  # if something blocks the event loop
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)


async def run_until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `work` until it ends or a signal arrives; raises StoppedLate when a task does not end in time.

    After a signal, tasks have END_S seconds to finish; then they are cancelled, and waited for CANCEL_S seconds more.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    running, stopped = asyncio.create_task(work(stop)), asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await asyncio.wait((running,), timeout=END_S)
    if running.done():
        return running.result()
    late = sorted(name for task in asyncio.all_tasks() if not (name := task.get_name()).startswith("Task-"))
    log.error("stop.late", tasks=late, after_s=END_S)
    running.cancel()
    await asyncio.wait((running,), timeout=CANCEL_S)
    raise StoppedLate(f"not ended {END_S:g} s after the signal, so cancelled: {', '.join(late) or 'the start'}")


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """Bind and listen; raises PortBusy, whose text names the setting."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # connections made before the server is up wait for it
    except OSError as error:
        listener.close()
        raise PortBusy(f"{host}:{port} cannot be used ({error.strerror}): free the port or set {setting}") from error
    return listener


def run_command(work: Callable[[], Awaitable[None]]) -> None:
    """Run a command's work to its end; Ctrl-C ends the process with 130."""
    try:
        tune_gc()
        uvloop.run(work())  # type: ignore[arg-type]
    except KeyboardInterrupt:  # the signal handlers were not installed yet
        raise SystemExit(130) from None


def open_event_log(settings: Settings, url: str) -> EventLog:
    """Open the event log at a URL with the topic prefix and, on Kafka, the credentials of these settings."""
    security = kafka_security(settings) if url.startswith("kafka:") else None
    return open_log(url, topic_prefix=settings.topic_prefix, security=security, options=settings.database_options)


@contextlib.asynccontextmanager
async def event_log_for_command(settings: Settings) -> AsyncIterator[EventLog]:
    """Open the services' event log by the settings, and close it at the end; raises NoDatabase."""
    event_log = open_event_log(settings, settings.events_url or await embedded.url_of("transport", settings))
    try:
        yield event_log
    finally:
        await event_log.close()


def kafka_security(settings: Settings) -> KafkaSecurity:
    from shared.messaging.transport.kafka import KafkaSecurity  # noqa: PLC0415 - aiokafka is loaded only where it is used

    return KafkaSecurity(
        protocol=settings.kafka_protocol,
        mechanism=settings.kafka_mechanism,
        username=settings.kafka_username or None,
        password=settings.kafka_password.get_secret_value() or None,
        token_file=settings.kafka_token_file,
        cafile=settings.kafka_ca_file,
        certfile=settings.kafka_cert_file,
        keyfile=settings.kafka_key_file,
    )
