"""Rate limits of the answer page: per link, and per client address when the address is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import Request

from shared.web.client_address import ClientAddress
from shared.web.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Rate limits of links and of clients; those of unknown addresses have the limit of their link only."""

    per_link: RateLimit
    per_client: RateLimit
    client_address: ClientAddress = field(default_factory=ClientAddress)

    def wait(self, request: Request, token: str) -> float:
        """Count a request for the link token; return 0 when it is allowed, else the seconds to wait."""
        client = self.client_address.of(request)
        return (self.per_client.take(client) if client else 0.0) or self.per_link.take(hash(token))
