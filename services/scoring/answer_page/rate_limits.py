"""How often the answer page may be asked for: by link, and by who asks where that can be known."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from fastapi import Request

from shared.web.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class RateLimits:
    """`address_header` is where a trusted proxy writes who asked; without it only the connection is believed."""

    per_link: RateLimit
    per_client: RateLimit
    address_header: str = ""

    def wait(self, request: Request, token: str) -> float:
        """Return the seconds to wait, or 0."""
        client = self._client(request)
        return (self.per_client.take(client) if client else 0.0) or self.per_link.take(hash(token))

    def _client(self, request: Request) -> str:
        """Name who asks; "" when a connection from the inside says nothing about it. IPv6 counts by network."""
        written = request.headers.get(self.address_header, "").rpartition(",")[2].strip() if self.address_header else ""
        connected = request.client.host if request.client else ""
        return _counted_as(written or connected, believed=bool(written))


@lru_cache(maxsize=10_000)
def _counted_as(written: str, *, believed: bool) -> str:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return ""
    if not believed and not address.is_global:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address)
