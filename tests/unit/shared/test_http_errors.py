"""Which HTTP errors mean that a provider may have read a request: such a request is not sent again."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx2
import pytest

from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, post_pinned

NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)


def kinds(of: type[httpx2.RequestError]) -> Iterator[type[httpx2.RequestError]]:
    yield of
    for more in of.__subclasses__():
        yield from kinds(more)


@pytest.mark.parametrize("kind", sorted(set(kinds(httpx2.RequestError)), key=str))
async def test_only_an_error_before_the_first_byte_says_that_nothing_was_sent(
    kind: type[httpx2.RequestError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers all errors of httpx2: a new one counts as MaybeSent until somebody decides."""
    tries: list[str] = []

    def fail(request: httpx2.Request) -> httpx2.Response:
        tries.append(request.method)
        raise kind("", request=request)

    client = HttpClient("http://provider.test")
    monkeypatch.setattr(
        client, "_client", httpx2.AsyncClient(transport=httpx2.MockTransport(fail), base_url="http://x")
    )
    with pytest.raises(NotSent if issubclass(kind, NEVER_SENT) else MaybeSent):
        await client.send(Call("POST", "/", form={"to": "+1"}), within_s=5)
    assert len(tries) == (2 if kind in (httpx2.ConnectError, httpx2.ConnectTimeout) else 1), "never twice blindly"
    await client.close()


@pytest.mark.parametrize("url", ["ftp://provider.test/", "http://[/", "nowhere"])
async def test_url_nobody_can_be_reached_by_sends_nothing(url: str) -> None:
    with pytest.raises((NotSent, httpx2.InvalidURL)):
        await post_pinned(url, b"x", address="127.0.0.1", headers={}, context=ssl.create_default_context())
