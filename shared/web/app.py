"""Makes a service's HTTP app: health, metrics, problem details, body limit, security headers, access control."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.contract.vocabulary import Service
from shared.health import Health
from shared.languages.current import SHARED
from shared.metrics import HTTP_SECONDS
from shared.web.api_docs.answers import completed
from shared.web.api_docs.page import add_page
from shared.web.assets import files
from shared.web.audit.trail import RecordedRequests
from shared.web.errors.pages import error_response
from shared.web.errors.validation import InvalidRequest
from shared.web.languages import Languages
from shared.web.operations import Operations
from shared.web.problems import Problem, Unavailable, as_problem
from shared.web.request_bounds import HeadAsGet, RequestBounds, path_of_redirect
from shared.web.routes import identity_paths
from shared.web.staff.gate import Gate, StaffAccess

log = structlog.get_logger()

MAX_BODY = 1_000_000
ANSWER_S = 20.0  # the longest time until a response begins
_OPERATIONS = ("/healthz", "/livez", "/readyz", "/metrics")
_HEADERS = {  # in ASGI's form: lower-case names, bytes
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'self'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-robots-tag": b"noindex, nofollow",
    b"cache-control": b"no-store",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
    b"cross-origin-opener-policy": b"same-origin",
}
_HSTS = {b"strict-transport-security": b"max-age=31536000"}  # RFC 6797
_DOCS_HEADERS = {
    **_HEADERS,
    b"content-security-policy": b"default-src 'self'; script-src 'self' 'unsafe-inline'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'",
}


def create_app(  # noqa: PLR0913 - independent settings of each app
    service: Service,
    *,
    health: Health,
    plain: Sequence[PlainRoute] = (),
    access: StaffAccess,
    max_body: int = MAX_BODY,
    larger: Mapping[str, int] = MappingProxyType({}),
    https: bool = False,
    catalogues: Path = SHARED,
) -> FastAPI:
    """Make a service's app; the table of routes says which of its paths are for staff, whom `access` recognizes.

    `plain` routes are served without FastAPI's router, inside all layers of this module. `max_body` is in bytes,
    `larger` has the limits of paths that take more. With `https`, which says that the public URL is one, browsers are
    told to use nothing else. `catalogues` is the folder with the translations of the service's own pages.
    """
    # FastAPI's traces would name paths, and a path may hold a token
    telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPIOffline(None, None, title=f"Earshot {service}", version="0.1.0", telemetry=telemetry)
    plain = (PlainRoute(files.PATH, files.respond, methods=["GET"]), *plain)
    add_page(app)
    add_router(app, Operations(health).router())
    document = app.openapi
    app.openapi = lambda: completed(document(), service)  # type: ignore[method-assign] # as FastAPI documents it
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _on_error)
    app.router.routes.extend(plain)  # so that other methods get 405 with the allowed methods
    app.add_middleware(HeadAsGet)  # plain routes answer HEAD themselves
    app.add_middleware(_PlainRoutes, routes=plain, service=service)
    app.add_middleware(_Deadline)
    app.add_middleware(_Errors)
    app.add_middleware(_Measured, service=service)
    app.state.trail = access.trail
    if access.trail is not None:
        app.add_middleware(RecordedRequests, trail=access.trail)
    app.add_middleware(Gate, service=service, access=access)
    app.add_middleware(RequestBounds, max_body=max_body, larger=larger)
    app.add_middleware(Languages, catalogues=catalogues, otherwise=access.language, https=access.cookie.https)
    app.add_middleware(_SecurityHeaders, https=https, origins=access.origins)
    return app


def add_router(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of a router as they are; FastAPI's `include_router` builds each of them a second time."""
    app.router.routes.extend(router.routes)


class PlainRoute(Route):
    """A route without FastAPI's parameters and models; metrics and logs name its path, as for routes of FastAPI."""

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], *, methods: list[str]) -> None:
        super().__init__(path, endpoint, methods=methods)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)

        self.app = answer  # in place of Starlette's, which handles errors too: `_Errors` does that

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


async def _on_error(request: Request, error: Exception) -> Response:
    problem = InvalidRequest(error) if isinstance(error, RequestValidationError) else as_problem(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Unavailable):
        route = getattr(request.scope.get("route"), "path", "unknown")
        log.error("request.failed", route=route, status=int(problem.status), exc_info=error)
    return error_response(request.scope, problem)


class _PlainRoutes:
    """Serves plain routes and the identity paths without FastAPI's router and layers.

    The router and layers cost as much time as a plain route itself.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[PlainRoute], service: Service) -> None:
        self._app, self._routes = app, routes
        self._service, self._identity_paths = service, identity_paths(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in self._identity_paths and scope["method"] in ("GET", "HEAD"):
            await JSONResponse({"service": self._service})(scope, receive, send)
            return
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                await route.handle(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Errors:
    """Answers an unhandled error with problem details; it runs inside the layers that add headers to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            response = await _on_error(Request(scope), error)
            await response(scope, receive, send)


class _Deadline:
    """Ends a request whose response has not begun after ANSWER_S, as when a database hangs; streams have no limit.

    The wait for a body does not count: a phone may be slow, and the server bounds that time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(None) as limit:
            running = _Running(receive, send, limit)
            try:
                await self._app(scope, running.receive, running.send)
            finally:
                running.timer.cancel()


class _Running:
    """The time of a request; one timer is set for each, because moving it with every message costs more."""

    __slots__ = ("_limit", "_loop", "_receive", "_receives", "_send", "_since", "timer")

    def __init__(self, receive: Receive, send: Send, limit: asyncio.Timeout) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._loop = asyncio.get_running_loop()
        self._since, self._receives = self._loop.time(), False
        self.timer = self._loop.call_later(ANSWER_S, self._end_if_late)

    def _end_if_late(self) -> None:
        left = ANSWER_S if self._receives else self._since + ANSWER_S - self._loop.time()
        if left > 0:
            self.timer = self._loop.call_later(left, self._end_if_late)
        else:
            self._limit.reschedule(self._since)

    async def receive(self) -> Message:
        self._receives = True
        message = await self._receive()
        self._since, self._receives = self._loop.time(), False
        return message

    async def send(self, message: Message) -> None:
        self.timer.cancel()
        await self._send(message)


_seconds = lru_cache(maxsize=1000)(HTTP_SECONDS.labels)


class _Measured:
    """Measures the time of requests by route, never by path: a path may hold a token."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPERATIONS:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", None) or scope.get("root_path") or "none"  # of a mounted app
            _seconds(self._service, scope["method"], route, status).observe(time.perf_counter() - began)


class _SecurityHeaders:
    """Adds each security header that a response does not set itself, and takes the host out of the router's redirects.

    The router redirects to a path without its last slash, at the host that the request names; redirects to `origins`
    stay as they are.
    """

    def __init__(self, app: ASGIApp, *, https: bool, origins: Collection[str]) -> None:
        self._app = app
        self._origins = tuple(f"{origin}/".encode() for origin in origins)
        always = _HSTS if https else {}
        self._headers, self._docs_headers = {**_HEADERS, **always}, {**_DOCS_HEADERS, **always}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        wanted = self._docs_headers if scope["path"] == "/docs" else self._headers

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given, own = message["headers"], {name for name, _ in message["headers"]}
                if message["status"] == HTTPStatus.TEMPORARY_REDIRECT:
                    given = [(name, self._target(text) if name == b"location" else text) for name, text in given]
                message["headers"] = [*given, *(pair for pair in wanted.items() if pair[0] not in own)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _target(self, location: bytes) -> bytes:
        return location if location.startswith(self._origins) else path_of_redirect(location)
