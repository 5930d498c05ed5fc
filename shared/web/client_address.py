"""The address of a client, for rate limits: of its connection, or as a trusted proxy names it in a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request

from shared.config import Settings
from shared.web.addresses import Address, Network, is_in

UNNAMED = "unnamed"  # all clients whose trusted proxy names no address share one limit
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d*)?|([^:]*):\d*")  # [IPv6], [IPv6]:port, IPv4:port


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """Finds what to count a request by; `header` is the one that a trusted proxy writes, "" without a proxy.

    Trusted are connections from `proxies`, and if these are none from every address that is not public. Of several
    lines and values only the last counts: the proxy wrote it, and the client what stands before it.
    """

    header: str = ""
    proxies: Sequence[Network] = ()

    @classmethod
    def of_settings(cls, settings: Settings) -> ClientAddress:
        return cls(settings.client_address_header, settings.trusted_proxies)

    def of(self, request: Request) -> str:
        """Return an IPv4 address or an IPv6 /64 network; "" for a client without proxy that is not public."""
        peer = parsed(request.client.host if request.client else "")
        if self.header and self._is_trusted(peer) and (lines := request.headers.getlist(self.header)):
            named = parsed(lines[-1].rpartition(",")[2])
            return UNNAMED if named is None else network_of(named)
        return network_of(peer) if peer is not None and peer.is_global else ""

    def _is_trusted(self, peer: Address | None) -> bool:
        if peer is None:
            return not self.proxies  # a Unix socket
        return is_in(peer, self.proxies) if self.proxies else not peer.is_global


@lru_cache(maxsize=10_000)
def parsed(written: str) -> Address | None:
    """Read an address with or without port, brackets, quotes and zone; an IPv4-mapped one is the IPv4 address."""
    text = written.strip().strip('"')
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2] or ""
    try:
        address = ip_address(text.partition("%")[0].strip())
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=10_000)
def network_of(address: Address) -> str:
    """Return the address, or the /64 network of an IPv6 one: one customer has at least that many addresses."""
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address)
