"""The HTTP servers of a service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from shared.contract.vocabulary import Service
from shared.database.until_stopped import supervised
from shared.runtime import ServiceContext
from shared.waiting import wait_for
from shared.web.connections import CHECK_S, BoundedConfig, cut_late
from shared.web.staff.gate import PublicOnly

GRACE_S = 5


class _Server(uvicorn.Server):
    """A server that looks at its connections every CHECK_S seconds; uvicorn's own wakes up ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self, *, at_once: bool = False) -> None:
        """Take no more connections and end; finish the requests in progress unless `at_once`."""
        self.should_exit, self.force_exit = True, at_once
        self._leaving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # 0: renew the Date header, too
            await wait_for(self._leaving, CHECK_S)
            cut_late(self.server_state.connections, now=asyncio.get_running_loop().time())

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # no handlers: several servers share a process, and `stop_on_signals` serves all


async def serve(app: ASGIApp, context: ServiceContext, *, service: Service) -> None:
    """Serve until `stop` is set, then finish the requests in progress."""
    stop, front = context.stop, context.front if service is Service.SCORING else None
    served = front or app
    async with asyncio.TaskGroup() as tasks:
        inside = _server(served, context, service)
        tasks.create_task(supervised(_serve(inside, context.listener, stop), stop, name="server"))
        if context.public_listener is not None:
            outside = _server(PublicOnly(served, service=None if front else service), context, service)
            tasks.create_task(supervised(_serve(outside, context.public_listener, stop), stop, name="public server"))


def _server(app: ASGIApp, context: ServiceContext, service: Service) -> _Server:
    config = BoundedConfig(
        app,
        limits=context.limits,
        service=service,
        log_config=None,
        access_log=False,  # a path may hold a token
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="off",
    )
    return _Server(config)


async def _serve(server: _Server, listener: socket.socket, stop: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        server.leave()
        await asyncio.shield(serving)
    finally:
        stopped.cancel()
        if not serving.done():  # another task failed; a server that goes on would keep its socket
            server.leave(at_once=True)
            await asyncio.wait((serving,), timeout=1)
            serving.cancel()
