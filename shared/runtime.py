"""What every process needs around its parts: signals, listening sockets, servers that stop when told to."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from shared.clock import Clock
from shared.config import Settings
from shared.database.until_stopped import supervised
from shared.health import Health
from shared.messaging.transport import EventLog, open_log
from shared.web.gate import PublicOnly

if TYPE_CHECKING:
    from shared.messaging.transport.kafka import KafkaSecurity

log = structlog.get_logger()

GRACE_S = 5
END_S = 12.0  # after a signal: what is in flight keeps its budget of 10 s and is recorded
CANCEL_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a process hands to each service it runs; public paths are served on the second listener as well."""

    database_url: str
    event_log: EventLog
    clock: Clock
    stop: asyncio.Event
    listener: socket.socket
    public_listener: socket.socket | None = None
    health: Health = field(default_factory=Health)


class StoppedLate(Exception):
    """Some task did not end in time after the signal; the text names it. What it had in flight may be unknown."""


class PortBusy(Exception):
    """Somebody listens there already; the text names the cure."""


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal ask every part to finish what it has begun; a second one kills."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        faulthandler.dump_traceback_later(END_S + CANCEL_S + 0.5, exit=True)  # whatever holds this process then
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, told)


async def run_until_told(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a process until it ends or is told to; raises StoppedLate when some task did not end in time.

    What is in flight keeps its budget; then the rest is cancelled, and what cannot be cancelled is left.
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
    """Bind at once, so that a busy port is one clear line and not a trace; raises PortBusy."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who comes before the server is up waits, and is not turned away
    except OSError as error:
        listener.close()
        raise PortBusy(f"{host}:{port} cannot be used ({error.strerror}): stop who has it or set {setting}") from error
    return listener


def tune_gc() -> None:
    """Look for garbage seldom: a batch makes very many objects, nearly none of them in circles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)  # the usual 700 took a fifth of the time of a decision


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # several servers share a process: the process decides when to stop


async def serve(app: ASGIApp, surroundings: ServiceContext, *, public: Sequence[str]) -> None:
    """Serve until told to stop, then finish the requests at hand."""
    async with asyncio.TaskGroup() as tasks:
        stop = surroundings.stop
        tasks.create_task(supervised(_serve(app, surroundings.listener, stop), stop, name="server"))
        if surroundings.public_listener is not None:
            outside = PublicOnly(app, public)
            serving = _serve(outside, surroundings.public_listener, stop)
            tasks.create_task(supervised(serving, stop, name="public server"))


async def _serve(app: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # a path may hold a token
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=30,
        lifespan="off",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await asyncio.shield(serving)
    finally:
        stopped.cancel()
        if not serving.done():  # another part of the service failed; a server left behind would keep its socket
            server.should_exit = server.force_exit = True
            await asyncio.wait((serving,), timeout=1)
            serving.cancel()


def open_event_log(settings: Settings, url: str) -> EventLog:
    """Open the log behind a URL with the topic prefix and, on Kafka, the credentials of these settings."""
    security = kafka_security(settings) if url.startswith("kafka:") else None
    return open_log(url, topic_prefix=settings.topic_prefix, security=security, options=settings.database_options)


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
