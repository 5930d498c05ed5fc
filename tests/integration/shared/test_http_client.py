"""A provider that closes the connection: it may have acted on what it has read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shared.web.http_client import MOST_BYTES, Call, HttpClient, MaybeSent, NotSent, post_pinned

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = b"to=%2B1"


async def _at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def _after_reading(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(BODY)


async def _half_way_through_its_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(BODY)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()


async def _with_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(BODY)
    writer.write(b"250 what?\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def provider(behaviour: Behaviour) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve each connection with `behaviour` and close it; yields the URL and the connections so far."""
    came: list[int] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(len(came))
        await behaviour(reader, writer)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    finally:
        server.close()


async def send(url: str) -> None:
    client = HttpClient(url)
    try:
        await client.send(Call("POST", "/", content=BODY), within_s=10)
    finally:
        await client.close()


async def post(url: str) -> None:
    context = ssl.create_default_context()
    await post_pinned(url, BODY, address="127.0.0.1", headers={}, context=context)


@pytest.mark.parametrize("sending", [send, post])
@pytest.mark.parametrize("behaviour", [_at_once, _after_reading, _with_nonsense])
async def test_connection_closed_without_a_reply_is_not_taken_for_not_sent(
    sending: Callable[[str], Awaitable[None]], behaviour: Behaviour
) -> None:
    async with provider(behaviour) as (url, came):
        with pytest.raises(MaybeSent):
            await sending(url)
        assert came == [0], "and it is not sent again"


async def test_reply_that_breaks_off_is_not_taken_for_not_sent() -> None:
    async with provider(_half_way_through_its_reply) as (url, came):
        with pytest.raises(MaybeSent):
            await send(url)
        assert came == [0]


async def test_reply_without_end_is_read_no_further_than_a_reply_may_be_long() -> None:
    written = 0

    async def without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(BODY)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while written < 40 * MOST_BYTES:
                writer.write(b" " * 100_000)
                written += 100_000
                await writer.drain()

    async with provider(without_end) as (url, came):
        with pytest.raises(MaybeSent):
            await send(url)
        assert came == [0]
    assert written < 10 * MOST_BYTES


async def _drop_by_drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte before each read timeout, without end."""
    await reader.readuntil(BODY)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)


async def test_reply_that_comes_drop_by_drop_gives_its_place_back() -> None:
    async with asyncio.timeout(10), provider(_drop_by_drop) as (url, came):
        client = HttpClient(url, late_s=0.1)
        with pytest.raises(MaybeSent):
            await client.send(Call("POST", "/", content=BODY), within_s=0.05)
        await client.close(within_s=60)  # waits for it
        assert (came, client.free_slots) == ([0], 20)


async def test_client_closes_though_a_provider_never_ends_its_reply() -> None:
    async with asyncio.timeout(10), provider(_drop_by_drop) as (url, _):
        client = HttpClient(url, late_s=3600)
        with pytest.raises(MaybeSent):
            await client.send(Call("POST", "/", content=BODY), within_s=0.05)
        await client.close(within_s=0.1)
        assert client.free_slots == 20


async def test_reply_that_never_comes_is_not_taken_for_not_sent() -> None:
    over = asyncio.Event()

    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        await over.wait()

    async with provider(never) as (url, came):
        client = HttpClient(url)
        with pytest.raises(MaybeSent):
            await client.send(Call("POST", "/", content=BODY), within_s=0.05)
        assert (came, client.free_slots) == ([0], 19), "its place is taken until it ends"
        over.set()
        await client.close()
        assert client.free_slots == 20


@pytest.mark.parametrize("sending", [send, post])
async def test_port_where_nobody_listens_got_nothing(sending: Callable[[str], Awaitable[None]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else listens there, and refusing
        with pytest.raises(NotSent):
            await sending(f"http://127.0.0.1:{taken.getsockname()[1]}")
