"""Addresses that URLs of others may resolve to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from shared.web.addresses import ForbiddenAddress, look_up, permitted_address

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata service of clouds
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
    "64:ff9b:1::a00:1",  # local-use NAT64, RFC 8215
    "::10.0.0.1",  # "IPv4-compatible", deprecated
    "::ffff:0:10.0.0.1",  # SIIT
    "fec0::1",  # site-local, deprecated
    "192.0.0.8",
    "2001:0:53aa:64c:0:0:f5ff:fffe",  # Teredo of 10.0.0.1
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_private_address_is_refused_even_beside_a_public_one(address: str) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34", address]

    with pytest.raises(ForbiddenAddress):
        await permitted_address("hooks.example.com", 443, networks=(), resolve=resolve)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
async def test_public_address_is_permitted(address: str) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    assert str(await permitted_address("hooks.example.com", 443, networks=(), resolve=resolve)) == address


async def test_named_network_is_permitted_and_no_other() -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        return [host]

    named = (ip_network("10.1.0.0/16"),)
    assert str(await permitted_address("10.1.2.3", 443, networks=named, resolve=resolve)) == "10.1.2.3"
    with pytest.raises(ForbiddenAddress):
        await permitted_address("10.2.0.1", 443, networks=named, resolve=resolve)


@pytest.mark.parametrize("spelling", ["127.1", "0x7f000001", "2130706433", "localhost"])
async def test_other_spellings_of_this_machine_are_refused(spelling: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await permitted_address(spelling, 443, networks=())


async def test_name_that_leads_nowhere_is_refused() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return []

    with pytest.raises(ForbiddenAddress):
        await permitted_address("hooks.example.com", 443, networks=(), resolve=resolve)


@pytest.mark.parametrize(
    "host", ["a" * 300 + ".example", "a" * 64, "a..b", ".", "xn--" + "a" * 70, "ä" * 300, "1" * 5000]
)
async def test_name_that_cannot_be_one_does_not_resolve(host: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        await look_up(host, 443)
