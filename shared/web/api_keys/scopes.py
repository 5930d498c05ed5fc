"""Which scope a request needs of an API key, and which services have paths of a scope, by the table of routes."""

from __future__ import annotations

from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import Service
from shared.web import routes

READING = ("GET", "HEAD", "OPTIONS")


def needed_scope(service: Service, method: str, path: str) -> KeyScope | None:
    """Return the scope for this request to a service; None: no key gives access."""
    prefix = routes.find(path)
    if prefix is None or not prefix.answered_by(service):
        return None
    return prefix.key_reads if method in READING else prefix.key_writes


def scopes_of(service: Service) -> frozenset[KeyScope]:
    """Return the scopes that a service checks, whose keys it therefore stores."""
    own = (prefix for prefix in routes.TABLE if prefix.answered_by(service))
    return frozenset(scope for prefix in own for scope in (prefix.key_reads, prefix.key_writes) if scope)


def is_limited(method: str, path: str) -> bool:
    """Say whether a request shows or changes only what a key with some programs sees."""
    prefix = routes.find(path)
    return prefix is not None and prefix.is_scoped(method)


def limitable() -> frozenset[KeyScope]:
    """Return the scopes of which a key can be limited to programs: the other ones' paths are for all programs."""
    reading = {prefix.key_reads for prefix in routes.TABLE if prefix.scoped_reads}
    writing = {prefix.key_writes for prefix in routes.TABLE if prefix.scoped_writes}
    return frozenset(scope for scope in reading | writing if scope)
