"""Access control by the table of routes: staff paths need the staff secret, an API key, or a local client."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.contract.vocabulary import KEY_PREFIX, Service
from shared.web import routes
from shared.web.problems import Forbidden, NotFound, Problem, Unauthorized, as_problem, problem_response

STAFF_ONLY = "Staff only"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_SAFE = ("GET", "HEAD", "OPTIONS")

Admit = Callable[[Scope, str], Awaitable[None]]


class Gate:
    """Lets requests to the paths of respondents, providers and probes pass; all other requests need the staff secret.

    Where no secret is set, they must come from this machine and through no proxy. A program may send an API key
    instead; `admit` raises a Problem unless the key permits the path.
    """

    def __init__(self, app: ASGIApp, *, service: Service, secret: str, admit: Admit | None = None) -> None:
        self._app, self._secret, self._admit = app, secret, admit
        self._without_secret = routes.without_secret(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._without_secret:
            refusal = await self._refused(scope, Headers(scope=scope))
            if refusal is not None:
                await problem_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refused(self, scope: Scope, headers: Headers) -> Problem | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if self._admit is None or scheme.lower() != "bearer" or not token.startswith(KEY_PREFIX):
            return self._refusal(scope, headers)
        try:
            await self._admit(scope, token)
        except Exception as error:  # noqa: BLE001 - only an inner layer turns errors into responses
            return as_problem(error)
        return None

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        if self._secret and not self._knows_secret(headers):
            return Unauthorized(
                STAFF_ONLY, "Send the staff secret.", headers={"www-authenticate": 'Basic realm="Earshot"'}
            )
        if not self._secret and not _is_local(scope, headers):
            return Forbidden(
                STAFF_ONLY,
                "Without EARSHOT_STAFF_SECRET only requests of this machine to localhost are served, none of a proxy.",
            )
        if scope["method"] not in _SAFE and _is_cross_site(headers):
            return Forbidden("Another site sent this request", "Only Earshot's own pages may send forms for staff.")
        return None

    def _knows_secret(self, headers: Headers) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                credentials = base64.b64decode(credentials, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        return hmac.compare_digest(credentials.encode(), self._secret.encode())


def _is_local(scope: Scope, headers: Headers) -> bool:
    if any(name in headers for name in _FORWARDED):
        return False
    client = (scope.get("client") or ("", 0))[0]
    named = _hostname(headers.get("host", ""))
    return _is_loopback(client) and (named == "localhost" or _is_loopback(named))  # the name, against DNS rebinding


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:  # our referrer policy makes a form's Origin "null", so it is only used without this header
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and _netloc(origin) != (headers.get("host") or None)


def _netloc(url: str) -> str:
    """Return host and port of a URL, "" for what is no URL."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


class PublicOnly:
    """Serves the paths of a service that are not for staff, for the public listener; others get 404.

    With `service` None, the paths of all services.
    """

    def __init__(self, app: ASGIApp, *, service: Service | None) -> None:
        self._app, self._public = app, routes.public(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
            await problem_response(NotFound("Not Found"))(scope, receive, send)
            return
        await self._app(scope, receive, send)
