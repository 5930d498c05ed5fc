"""Rate limits of the answer page: per link, and per client address when the address is known."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from fastapi import Request

from shared.web.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Rate limits; `address_header` is the header with the client address from a trusted proxy, "" without a proxy."""

    per_link: RateLimit
    per_client: RateLimit
    address_header: str = ""

    def wait(self, request: Request, token: str) -> float:
        """Count a request for the link token; return 0 when it is allowed, else the seconds to wait."""
        client = self._client(request)
        return (self.per_client.take(client) if client else 0.0) or self.per_link.take(hash(token))

    def _client(self, request: Request) -> str:
        """Return the client's IPv4 address or IPv6 /64 network; "" if invalid, or neither public nor from a proxy."""
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
