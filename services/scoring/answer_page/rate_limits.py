"""Rate limits of the answer page: per link, and per client where its address is known."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from fastapi import Request

from shared.web.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class RateLimits:
    """`address_header` names the header in which a trusted proxy writes the client's address; "" is for no proxy."""

    per_link: RateLimit
    per_client: RateLimit
    address_header: str = ""

    def wait(self, request: Request, token: str) -> float:
        """Return the seconds to wait, or 0."""
        client = self._client(request)
        return (self.per_client.take(client) if client else 0.0) or self.per_link.take(hash(token))

    def _client(self, request: Request) -> str:
        """Return the client's address, or its /64 network for IPv6; "" when a private address hides the client."""
        written = request.headers.get(self.address_header, "").rpartition(",")[2].strip() if self.address_header else ""
        connected = request.client.host if request.client else ""
        return _limited_as(written or connected, trusted=bool(written))


@lru_cache(maxsize=10_000)
def _limited_as(written: str, *, trusted: bool) -> str:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return ""
    if not trusted and not address.is_global:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address)
