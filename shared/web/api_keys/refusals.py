"""Answers to keys that are refused; each is counted, and logged without the key and the address of its client."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from uuid import UUID

import structlog

from shared.contract.api_keys import ApiKey, KeyScope, services_named
from shared.contract.vocabulary import Service
from shared.metrics import KEYS_REFUSED
from shared.web import routes
from shared.web.problems import Forbidden, Problem, TooManyRequests, Unauthorized
from shared.web.rate_limit import RateLimit

log = structlog.get_logger()

GUESSES = 20  # unknown keys of one client that are answered as such, and log lines of one known key; then …
GUESS_S = 10.0  # … one in this many seconds


class Refusals:
    """Makes, counts and logs the refusals of one service; a client with too many unknown keys gets 429."""

    def __init__(self, service: Service, *, monotonic: Callable[[], float]) -> None:
        self._service = service
        self._limit = RateLimit(per_second=1 / GUESS_S, burst=GUESSES, monotonic=monotonic)

    def has_too_many(self, client: str) -> bool:
        """Say whether a client has sent so many unknown keys that the next is answered with 429."""
        return self._limit.is_spent(client)

    def unknown(self, token: str, path: str, *, client: str, needed: KeyScope | None) -> Problem:
        """Return the refusal of a key that this service does not store."""
        named = services_named(token)
        is_elsewhere = bool(named) and self._service not in named
        wait = self._count("other_service" if is_elsewhere else "unknown", path, by=client)
        if wait:
            retry = {"retry-after": str(math.ceil(wait))}
            return TooManyRequests("Too many unknown keys", "Wait; a valid key is accepted at any time.", headers=retry)
        if is_elsewhere:
            return _without_scope(needed, f"all scopes of this key are of {' and '.join(sorted(named))}")
        return not_valid()

    def ended(self, key: ApiKey, path: str) -> Problem:
        """Return the refusal of a key that is expired or revoked."""
        self._count(key.state, path, by=key.id, key=key.id)
        return not_valid()

    def without_scope(self, key: ApiKey, path: str, *, needed: KeyScope | None) -> Problem:
        """Return the refusal of a key that lacks a scope; None: no key gives access."""
        self._count("scope", path, by=key.id, key=key.id)
        return _without_scope(needed, f"its scopes in {self._service} are {', '.join(sorted(key.scopes))}")

    def limited(self, key: ApiKey, path: str) -> Problem:
        """Return the refusal of a key that is limited to programs, at a path that is for all of them."""
        self._count("scope", path, by=key.id, key=key.id)
        return Forbidden("This key is limited to programs", "This path shows or changes all of them.")

    def _count(self, reason: str, path: str, *, by: Hashable, key: UUID | None = None) -> float:
        """Count a refusal, and log it unless there were too many `by` the same; return the seconds to wait then."""
        KEYS_REFUSED.labels(self._service, reason).inc()
        wait = self._limit.take(by)
        if not wait:
            prefix = routes.find(path)
            log.warning("key.refused", reason=reason, prefix=prefix.path if prefix else None, key=key and str(key))
        return wait


def not_valid() -> Problem:
    """Return the refusal of a key that is unknown, expired or revoked."""
    return Unauthorized(
        "This key is not valid",
        "It is unknown, expired or revoked.",
        headers={"www-authenticate": 'Bearer error="invalid_token"'},
    )


def _without_scope(needed: KeyScope | None, scopes: str) -> Problem:
    reason = f"This needs the scope {needed}" if needed else "No key gives access to this path, or not by this method"
    return Forbidden("This key may not do that", f"{reason}; {scopes}.")
