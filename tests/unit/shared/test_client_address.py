"""What a request is counted by in rate limits: one client has one key, however its address is written."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.requests import Request

from shared.web.client_address import UNNAMED, ClientAddress
from shared.web.rate_limit import RateLimit

BEHIND = ClientAddress("x-forwarded-for")
PRIVATE = "10.0.0.1"


def asks(peer: str | None, *lines: str) -> Request:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    return Request({"type": "http", "client": peer and (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    "written",
    [
        *("8.8.8.8", " 8.8.8.8 ", "8.8.8.8:443", "8.8.8.8:1", '"8.8.8.8"', '"8.8.8.8:5"', "[8.8.8.8]", "[8.8.8.8]:99"),
        *("::ffff:8.8.8.8", "[::ffff:8.8.8.8]", "[::ffff:8.8.8.8]:7", "::ffff:808:808", "::FFFF:8.8.8.8%eth0"),
        *("1.1.1.1, 8.8.8.8", "1.1.1.1,8.8.8.8:9", ",8.8.8.8", "x" * 9000 + ",8.8.8.8"),
    ],
)
def test_one_ipv4_client_has_one_key(written: str) -> None:
    assert BEHIND.of(asks(PRIVATE, written)) == "8.8.8.8"
    assert BEHIND.of(asks(PRIVATE, "9.9.9.9", written)) == "8.8.8.8", "a line of the client stands before the proxy's"


@pytest.mark.parametrize(
    "written",
    [
        *("2001:4860:4860::8888", "2001:4860:4860:0::1", "[2001:4860:4860::1]", "[2001:4860:4860::2]:443"),
        *(
            "2001:4860:4860::3%eth0",
            "[2001:4860:4860::4%25eth0]:1",
            '"[2001:4860:4860::5]"',
            "2001:4860:4860:0:f:f:f:f",
        ),
    ],
)
def test_one_ipv6_network_has_one_key(written: str) -> None:
    assert BEHIND.of(asks(PRIVATE, written)) == "2001:4860:4860::/64"


@pytest.mark.parametrize(
    "written", ["", "unknown", "_hidden", "for=8.8.8.8", "8.8.8", "8.8.8.8.8", "[", "[]:1", "::1::", "8.8.8.8,"]
)
def test_clients_that_the_proxy_does_not_name_share_one_key(written: str) -> None:
    assert BEHIND.of(asks(PRIVATE, written)) == UNNAMED


def test_header_counts_only_from_a_trusted_proxy() -> None:
    assert BEHIND.of(asks("8.8.4.4", "1.1.1.1")) == "8.8.4.4"
    assert ClientAddress().of(asks(PRIVATE, "1.1.1.1")) == ""
    named = ClientAddress("x-forwarded-for", [ip_network("8.8.4.0/24")])
    assert named.of(asks("8.8.4.4", "1.1.1.1")) == "1.1.1.1"
    assert named.of(asks("::ffff:8.8.4.4", "1.1.1.1")) == "1.1.1.1"
    assert named.of(asks(PRIVATE, "1.1.1.1")) == ""


def test_peer_without_a_header_is_its_own_key() -> None:
    assert BEHIND.of(asks("8.8.8.8")) == "8.8.8.8"
    assert BEHIND.of(asks("2001:4860:4860::8888")) == "2001:4860:4860::/64"
    assert [BEHIND.of(asks(peer)) for peer in ("127.0.0.1", PRIVATE, None)] == ["", "", ""]
    assert BEHIND.of(asks(None, "1.1.1.1")) == "1.1.1.1", "a proxy at a Unix socket"


def test_limiter_remembers_a_bounded_number_of_keys_and_forgets_none_that_waits() -> None:
    limit = RateLimit(per_second=1, burst=1, keys=100, monotonic=lambda: 0.0)
    assert limit.take("mine") == 0
    for number in range(99):
        limit.take(number)
        assert limit.take("mine") > 0
    for number in range(100_000):
        limit.take(("other", number))
    assert len(limit) == 100
