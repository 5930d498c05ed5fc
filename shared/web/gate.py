"""Who may see what: public paths are for everybody, all others for staff."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.contract.vocabulary import KEY_PREFIX
from shared.web.problems import Forbidden, NotFound, Problem, Unauthorized, as_problem, problem_response

_OPEN = ("/healthz", "/livez", "/readyz", "/static/")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_SAFE = ("GET", "HEAD", "OPTIONS")

Admit = Callable[[Scope, str], Awaitable[None]]


class Paths:
    """All paths that are one of the prefixes, or under it."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._exact = frozenset(prefixes)
        self._under = tuple(prefix.rstrip("/") + "/" for prefix in prefixes)

    def __contains__(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._under)


class Gate:
    """Staff paths want the shared secret; without one they serve loopback only, and nothing that came by a proxy.

    A machine sends a key instead; `admit` raises a Problem unless that key opens this path.
    """

    def __init__(self, app: ASGIApp, *, public: Sequence[str], secret: str, admit: Admit | None = None) -> None:
        self._app, self._public, self._secret, self._admit = app, Paths((*public, *_OPEN)), secret, admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
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
        except Exception as error:  # noqa: BLE001 - this stands before what turns errors into answers
            return as_problem(error)
        return None

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
        self._app, self._public = app, Paths((*public, *_OPEN))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
            await problem_response(NotFound("Not Found"))(scope, receive, send)
            return
        await self._app(scope, receive, send)
