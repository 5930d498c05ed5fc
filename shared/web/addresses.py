"""Which IP addresses may be connected to for URLs from outside: public addresses and those of permitted networks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_UNICAST = ip_network("2000::/3")  # the public part of IPv6; `is_global` is true for other addresses too
_PROTOCOLS = ip_network("192.0.0.0/24")  # RFC 6890: IETF protocol assignments


class ForbiddenAddress(Exception):
    """The name resolves to an address that is neither public nor in a permitted network."""


def is_loopback_host(netloc: str) -> bool:
    """Say whether the host of `host:port`, as a `Host` header has it, is this machine by name or by address."""
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def look_up(host: str, port: int) -> list[str]:
    """Resolve a name with the system's resolver; raises OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return [str(address[0]) for *_, address in found]


async def permitted_address(
    host: str, port: int, *, networks: Sequence[Network], resolve: Resolve = look_up
) -> Address:
    """Resolve a name once and return its first address; raises ForbiddenAddress unless all of them are permitted.

    Connect to this address and not to the name, which may resolve to another address a moment later. Raises OSError
    when the name cannot be resolved.
    """
    found = [ip_address(text.partition("%")[0]) for text in await resolve(host, port)]
    if not found or not all(_is_public(each) or is_in(each, networks) for each in found):
        raise ForbiddenAddress
    return found[0]


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_public(address: Address) -> bool:
    inner = _embedded(address)
    if inner is not None:
        return _is_public(inner)
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS


def _embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address contains: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
