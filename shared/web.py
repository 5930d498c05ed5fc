"""The one way to make an HTTP app: health, metrics, problem details, bounded bodies, security headers, the staff gate.

HTTP statuses live here. Errors are RFC 9457 problem details and never quote what was sent.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.db import Sessions, is_transient
from shared.metrics import HTTP_SECONDS
from shared.vocabulary import Service

log = structlog.get_logger()

MAX_BODY = 1_000_000
_OPEN = ("/healthz", "/readyz", "/static/")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}
_DOCS_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
)


class Problem(Exception):
    """An answer other than success, RFC 9457. `title` is the same for every occurrence, `detail` says what to do."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, title: str, detail: str = "", *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(title)
        self.title, self.detail, self.extra, self.headers = title, detail, extra, headers or {}


class BadRequest(Problem):
    status = HTTPStatus.BAD_REQUEST


class Unauthorized(Problem):
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND


class Conflict(Problem):
    status = HTTPStatus.CONFLICT


class Gone(Problem):
    status = HTTPStatus.GONE


class TooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unprocessable(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooMany(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE


def problem_response(problem: Problem) -> JSONResponse:
    body = {"type": "about:blank", "title": problem.title, "status": int(problem.status), **problem.extra}
    if problem.detail:
        body["detail"] = problem.detail
    return JSONResponse(body, problem.status, problem.headers, media_type="application/problem+json")


def create_app(
    service: Service,
    *,
    ready: Callable[[], Awaitable[None]],
    public: Sequence[str] = (),
    staff_secret: str = "",
    max_body: int = MAX_BODY,
) -> FastAPI:
    """Make a service's app. `public` path prefixes are for everybody; every other path is for staff."""
    app = FastAPIOffline(title=f"Earshot {service}", version="0.1.0", redoc_url=None)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    _add_operations(app, ready)
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _on_error)
    app.add_middleware(_Errors)
    Instrumentator(should_group_status_codes=False, excluded_handlers=["/metrics", "/healthz", "/readyz"]).add(
        _observe(service)
    ).instrument(app)
    app.add_middleware(_Gate, public=(*public, *_OPEN), secret=staff_secret)
    app.add_middleware(_Bounds, max_body=max_body)
    app.add_middleware(_SecurityHeaders)
    return app


def transaction(sessions: Sessions) -> Callable[[], AsyncIterator[AsyncSession]]:
    """Make a dependency that commits before the answer goes out: use `Depends(…, scope="function")`."""

    async def begin() -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as session:
            yield session

    return begin


def _observe(service: Service) -> Callable[[Info], None]:
    """Measure into our own metric: the library's are one per process, and several services share one here."""

    def observe(info: Info) -> None:
        HTTP_SECONDS.labels(service, info.method, info.modified_handler, info.modified_status).observe(
            info.modified_duration
        )

    return observe


def _add_operations(app: FastAPI, ready: Callable[[], Awaitable[None]]) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> dict[str, str]:
        """Say that the database and the transport answer."""
        try:
            await ready()
        except Exception as error:
            log.warning("not.ready", exc_info=error)
            raise Unavailable("Not ready", "The database or the event log does not answer.") from error
        return {"status": "ready"}

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Every metric of this process, in the text format of Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _on_error(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        route = getattr(request.scope.get("route"), "path", "unknown")
        log.error("request.failed", route=route, status=int(problem.status), exc_info=error)
    return problem_response(problem)


def as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error.__cause__, Problem):
        return error.__cause__  # FastAPI hides what was raised while the body was read
    if isinstance(error, RequestValidationError):
        places = [{"where": ".".join(map(str, e["loc"])), "what": e["msg"]} for e in error.errors()]
        return Unprocessable("The request is not as it should be", errors=places[:20])
    if _is_unstorable(error):
        return Unprocessable("The request holds a character that cannot be stored")
    if is_transient(error):
        return Unavailable("Try again shortly", "The database does not answer.", headers={"retry-after": "5"})
    return _with_status(error)


def _with_status(error: Exception) -> Problem:
    status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, {}
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    problem = Problem(status.phrase, headers=headers)
    problem.status = status
    return problem


def _is_unstorable(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
            return True
        error = getattr(error, "orig", None) or error.__cause__
    return False


class _Errors:
    """Turns what nobody caught into a problem, inside the other layers so that their headers are on it too."""

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


class _SecurityHeaders:
    """Adds what a response does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"] == "/docs":
                    headers["content-security-policy"] = _DOCS_CSP
            await send(message)

        await self._app(scope, receive, with_headers)


class _Bounds:
    """Refuses bodies over the limit, whether their length was announced or not, and NUL in addresses."""

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        self._app, self._max_body = app, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            await problem_response(BadRequest("The address holds a NUL character"))(scope, receive, send)
        elif not announced.isdigit() or int(announced) > self._max_body:
            await problem_response(self._too_large())(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Problem:
        return TooLarge("The body is too large", f"At most {self._max_body} bytes are taken.")


class _Gate:
    """Staff paths want the shared secret; without one they serve loopback only, and nothing that came by a proxy."""

    def __init__(self, app: ASGIApp, *, public: Sequence[str], secret: str) -> None:
        self._app, self._public, self._secret = app, tuple(public), secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_public(scope["path"], self._public):
            refusal = self._refusal(scope, Headers(scope=scope))
            if refusal is not None:
                await problem_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        if self._secret and not self._knows_secret(headers):
            return Unauthorized(
                "Staff only", "Send the staff secret.", headers={"www-authenticate": 'Basic realm="Earshot"'}
            )
        if not self._secret and not _is_local(scope, headers):
            return Forbidden("Staff only", "Without EARSHOT_STAFF_SECRET only this machine is served, and no proxy.")
        if scope["method"] not in _SAFE and _is_cross_site(headers):
            return Forbidden("Another site sent this", "Staff forms are sent from their own pages only.")
        return None

    def _knows_secret(self, headers: Headers) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                credentials = base64.b64decode(credentials, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        return hmac.compare_digest(credentials.encode(), self._secret.encode())


def is_public(path: str, public: Sequence[str]) -> bool:
    return any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in public)


def _is_local(scope: Scope, headers: Headers) -> bool:
    if any(name in headers for name in _FORWARDED):
        return False
    client = (scope.get("client") or ("", 0))[0]
    named = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    return _is_loopback(client) and (named == "localhost" or _is_loopback(named))  # a rebound name is not ours


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:  # the origin of a form is "null" under our own referrer policy, so this decides
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


class PublicOnly:
    """Serves public paths of an app and nothing else, for a listener that faces outside."""

    def __init__(self, app: ASGIApp, public: Sequence[str]) -> None:
        self._app, self._public = app, (*public, *_OPEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_public(scope["path"], self._public):
            await problem_response(NotFound("Not Found"))(scope, receive, send)
            return
        await self._app(scope, receive, send)
