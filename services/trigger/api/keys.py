"""Checks the API keys of machines: scope, expiry, revocation and rate limit."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from fastapi import Request
from starlette.types import Scope as AsgiScope

from services.trigger.domain.keys import ApiKey, KeyScope, digest
from services.trigger.repository import keys
from shared.database.db import Sessions
from shared.web.problems import Forbidden, Unauthorized
from shared.web.rate_limit import RateLimit
from shared.web.routes import Paths

CACHE_S = 5.0  # for this long a revoked key may still work
CACHE_SIZE = 1000

_ALLOWED = (
    ("POST", Paths(["/v1/events"]), KeyScope.EVENTS_WRITE),
    ("GET", Paths(["/v1/decisions"]), KeyScope.DECISIONS_READ),
    ("GET", Paths(["/v1/programs"]), KeyScope.PROGRAMS_READ),
    ("PUT", Paths(["/v1/programs"]), KeyScope.PROGRAMS_WRITE),
    ("POST", Paths(["/v1/programs"]), KeyScope.PROGRAMS_WRITE),
    ("POST", Paths(["/v1/respondents"]), KeyScope.RESPONDENTS_ERASE),
)


class ApiKeyVerifier:
    """Checks the API keys of requests; a valid key is cached for CACHE_S seconds."""

    def __init__(
        self, sessions: Sessions, *, per_second: float, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions, self._monotonic = sessions, monotonic
        self._limit = RateLimit(per_second=per_second, burst=burst)
        self._cache: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()

    async def admit(self, request: AsgiScope, token: str) -> None:
        """Check the key of a request; raises Unauthorized or Forbidden."""
        key = await self._find(digest(token))
        if key is None:
            raise Unauthorized(
                "This key is not valid",
                "It is unknown, expired or revoked.",
                headers={"www-authenticate": 'Bearer error="invalid_token"'},
            )
        needed = _needed_scope(request)
        if needed not in key.scopes:
            reason = f"This needs the scope {needed}" if needed else "No key gives access to this path"
            raise Forbidden("This key may not do that", f"{reason}; its scopes are {', '.join(sorted(key.scopes))}.")
        request.setdefault("state", {})["key"] = key.id

    def count(self, request: Request, events: int) -> None:
        """Count events against the rate limit of their key; raises TooManyRequests. Staff have no limit."""
        key = getattr(request.state, "key", None)
        if key is not None:
            self._limit.check(key, events)

    async def _find(self, hashed: bytes) -> ApiKey | None:
        now = self._monotonic()
        key, until = self._cache.get(hashed, (None, 0.0))
        if now < until:
            return key
        async with self._sessions() as session:
            key = await keys.find_valid(session, hashed)
        if key is not None:
            self._cache[hashed] = key, now + CACHE_S
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return key


def _needed_scope(request: AsgiScope) -> KeyScope | None:
    method = "GET" if request["method"] == "HEAD" else request["method"]
    return next((scope for verb, paths, scope in _ALLOWED if verb == method and request["path"] in paths), None)
