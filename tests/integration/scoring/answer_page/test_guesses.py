"""The public route is rate limited, and guessed links learn nothing from it."""

from __future__ import annotations

import secrets
from typing import Any

import asyncpg
import httpx2
import pytest
from prometheus_client import generate_latest
from sqlalchemy import event
from starlette.requests import Request
from structlog.testing import capture_logs

from services.scoring.answer_page.rate_limits import RateLimits
from shared.web.client_address import ClientAddress
from shared.web.rate_limit import RateLimit
from tests.integration.scoring.stand import Scoring, link_of, requested

GUESSES = 300


def guess(number: int) -> str:
    """Well-formed, too short, too long and malformed tokens, and another step."""
    token = secrets.token_urlsafe(16)
    return (f"{token}.1", f"{token[:9]}.1", f"{token}{token}.2", f"%00{number}"[3:] + ".x", token)[number % 5]


async def test_unknown_links_all_get_the_same_response_for_the_same_work(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.asked()
    queries: list[str] = []

    def listen(connection: Any, _record: Any) -> None:
        driver: asyncpg.Connection = connection.driver_connection
        driver.add_query_logger(lambda query: queries.append(query.query))

    await scoring.database.engine.dispose()
    event.listen(scoring.database.engine.sync_engine, "connect", listen)
    await client.get("/s/first.1?try=3")  # opens the connection
    seen = set()
    for number in range(GUESSES):
        queries.clear()
        response = await client.get(f"/s/{guess(number)}", params={"try": "3"})
        sent = await client.post(f"/s/{guess(number)}", data={"score": "9"})
        assert response.text == sent.text
        seen.add((response.status_code, response.text, str(sorted(response.headers.items())), tuple(queries)))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 404


async def test_token_is_in_no_log_and_no_metric(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    link = link_of(request.invitation_id)
    token = link.removeprefix("/s/").partition(".")[0]
    with capture_logs() as logged:
        for method, data in (("GET", {}), ("POST", {"score": "9"}), ("POST", {"score": "x"}), ("POST", {"trap": "1"})):
            response = await client.request(method, link, data=data)
            assert response.headers["referrer-policy"] == "no-referrer"
        await client.post(link, data={"score": "1"}, headers={"user-agent": "Googlebot/2.1"})
    assert token not in str(logged)
    assert token not in generate_latest().decode()
    assert "/s/{link}" in generate_latest().decode()


async def test_link_is_rate_limited(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    link, other = link_of((await scoring.asked()).invitation_id), link_of((await scoring.asked()).invitation_id)
    statuses = [(await client.get(link)).status_code for _ in range(140)]
    assert set(statuses) == {200, 429}
    busy = await client.get(link)
    assert "One moment, please" in busy.text
    assert int(busy.headers["retry-after"]) >= 1
    assert (await client.get(other)).status_code == 200
    invented = link_of(requested().invitation_id)
    assert {(await client.get(invented)).status_code for _ in range(140)} == {404, 429}


def asks(host: str, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (host, 1), "headers": raw})


@pytest.mark.parametrize(
    ("host", "forwarded", "header", "limited"),
    [
        ("198.51.100.7", "", "", False),  # documentation addresses are not global either
        ("8.8.8.8", "", "", True),
        ("127.0.0.1", "8.8.8.8", "", False),  # no trusted header is configured
        ("127.0.0.1", "1.1.1.1, 8.8.8.8", "x-forwarded-for", True),
        ("2001:4860:4860::8888", "", "", True),
        ("127.0.0.1", "junk", "x-forwarded-for", True),  # or whoever writes it is not limited
    ],
)
def test_client_address_is_that_of_a_trusted_proxy(host: str, forwarded: str, header: str, limited: bool) -> None:  # noqa: FBT001 - a column of the table
    limits = RateLimits(RateLimit(per_second=1, burst=100), RateLimit(per_second=1, burst=2), ClientAddress(header))
    headers = {"x_forwarded_for": forwarded} if forwarded else {}
    waits = [limits.wait(asks(host, **headers), secrets.token_hex(8)) for _ in range(3)]
    assert (waits[-1] > 0) is limited


def test_forged_forwarding_header_does_not_escape_the_rate_limit() -> None:
    """The proxy writes the last address; the client sent those before it."""
    address = ClientAddress("x-forwarded-for")
    limits = RateLimits(RateLimit(per_second=1, burst=100), RateLimit(per_second=1, burst=2), address)
    invented = [asks("127.0.0.1", x_forwarded_for=f"9.9.9.{number}, 8.8.8.8") for number in range(3)]
    assert [limits.wait(each, secrets.token_hex(8)) > 0 for each in invented] == [False, False, True]


def test_ipv6_clients_are_limited_by_their_64_network() -> None:
    limits = RateLimits(RateLimit(per_second=1, burst=100), RateLimit(per_second=1, burst=1))
    assert limits.wait(asks("2001:4860:4860::1"), "a") == 0
    assert limits.wait(asks("2001:4860:4860::2"), "b") > 0
