"""Which HTTP errors mean that a provider may have read a request: such a request is not sent again."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, post_pinned

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


def kinds(of: type[httpx.RequestError]) -> Iterator[type[httpx.RequestError]]:
    yield of
    for more in of.__subclasses__():
        yield from kinds(more)


@pytest.mark.parametrize("kind", sorted(set(kinds(httpx.RequestError)), key=str))
async def test_only_an_error_before_the_first_byte_says_that_nothing_was_sent(
    kind: type[httpx.RequestError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers all errors of httpx: a new one counts as MaybeSent until somebody decides."""
    tries: list[str] = []

    def fail(request: httpx.Request) -> httpx.Response:
        tries.append(request.method)
        raise kind("", request=request)

    client = HttpClient("http://provider.test")
    monkeypatch.setattr(client, "_client", httpx.AsyncClient(transport=httpx.MockTransport(fail), base_url="http://x"))
    with pytest.raises(NotSent if issubclass(kind, NEVER_SENT) else MaybeSent):
        await client.send(Call("POST", "/", form={"to": "+1"}), within_s=5)
    assert len(tries) == (2 if kind in (httpx.ConnectError, httpx.ConnectTimeout) else 1), "never twice blindly"
    await client.close()


@pytest.mark.parametrize("url", ["ftp://provider.test/", "http://[/", "nowhere"])
async def test_url_nobody_can_be_reached_by_sends_nothing(url: str) -> None:
    with pytest.raises((NotSent, httpx.InvalidURL)):
        await post_pinned(url, b"x", address="127.0.0.1", headers={}, context=ssl.create_default_context())
