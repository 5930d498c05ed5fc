"""The staff gate's negative cases, without an app behind it."""

from __future__ import annotations

import hmac

import httpx2
import pytest
from starlette.responses import Response

from shared.contract.vocabulary import Service
from shared.web.gate import Gate

SECRET = "a-long-secret"


def client(secret: str = "", *, peer: str = "127.0.0.1", host: str = "127.0.0.1:8001") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(
        Gate(Response("here"), service=Service.TRIGGER, secret=secret), client=(peer, 5000)
    )
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via", "x-forwarded-proto"],
)
@pytest.mark.parametrize("value", ["127.0.0.1", "https", ""])
async def test_one_word_of_a_proxy_is_enough_not_to_pass_for_this_machine(name: str, value: str) -> None:
    async with client() as asking:
        assert (await asking.get("/staff", headers={name: value})).status_code == 403
        assert (await asking.get("/staff")).status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.9", "192.168.1.2", "::2", "127.0.0.1.example", ""])
@pytest.mark.parametrize("host", ["127.0.0.1:8001", "localhost", "[::1]:8001"])
async def test_only_this_machine_is_staff_without_a_secret(peer: str, host: str) -> None:
    async with client(peer=peer, host=host) as asking:
        assert (await asking.get("/staff")).status_code == 403


@pytest.mark.parametrize("host", ["earshot.example", "127.0.0.1.example", "localhost.example", "10.0.0.9"])
async def test_name_that_leads_here_is_not_ours(host: str) -> None:
    async with client(host=host) as asking:
        assert (await asking.get("/staff")).status_code == 403


@pytest.mark.parametrize(
    "given", ["", "a", SECRET[:-1], SECRET + "x", SECRET.upper(), f" {SECRET}", f"{SECRET}\0", "sécret"]
)
async def test_nothing_but_the_whole_secret_opens(given: str) -> None:
    async with client(SECRET) as asking:
        assert (await asking.get("/staff", auth=("anybody", given))).status_code == 401
        assert (await asking.get("/staff", auth=("anybody", SECRET))).status_code == 200


async def test_secret_is_compared_in_a_time_that_does_not_tell_how_much_of_it_was_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the result of `hmac.compare_digest` decides: another comparison could leak by its time."""
    seen: list[tuple[bytes, bytes]] = []

    def other_way_round(given: bytes, wanted: bytes) -> bool:
        seen.append((given, wanted))
        return given != wanted

    monkeypatch.setattr(hmac, "compare_digest", other_way_round)
    async with client(SECRET) as asking:
        assert (await asking.get("/staff", auth=("anybody", SECRET))).status_code == 401
        assert (await asking.get("/staff", auth=("anybody", "b"))).status_code == 200
        assert (await asking.get("/staff", headers={"authorization": "Bearer c"})).status_code == 200
    assert seen == [(given, SECRET.encode()) for given in (SECRET.encode(), b"b", b"c")]
