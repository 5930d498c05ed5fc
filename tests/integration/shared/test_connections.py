"""The HTTP server bounds heads, times and connections; a refused client can read why, and others are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from shared import runtime
from shared.clock import SystemClock
from shared.contract.vocabulary import Service
from shared.runtime import ServiceContext
from shared.serving import serve
from shared.web.connection_limits import ConnectionLimits
from shared.web.connections import BoundedConfig
from shared.web.connections import BoundedProtocol as Protocol

GET = b"GET /u HTTP/1.1\r\nHost: a\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo the size of the body; `/live` never ends, `/large` is more than a client reads, `/early` reads no body."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    async def large() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 100_000

    match scope["path"]:
        case "/live":
            await StreamingResponse(endless())(scope, receive, send)
        case "/large":
            await StreamingResponse(large())(scope, receive, send)
        case "/early":
            await PlainTextResponse("early", 401)(scope, receive, send)
        case _:
            body = await Request(scope, receive).body()
            await PlainTextResponse(str(len(body)))(scope, receive, send)


@dataclass(slots=True)
class Served:
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, *pieces: bytes) -> bytes:
        """Send the pieces and return all that comes until the server closes the connection."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        try:
            return await reader.read()
        finally:
            writer.close()

    async def works(self) -> bool:
        return (await self.send(GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[Served]:
    stop, log = asyncio.Event(), None
    listener = runtime.listen("127.0.0.1", 0, setting="A_PORT")
    context = ServiceContext("", log, SystemClock(), stop, listener, limits=ConnectionLimits(**limits))  # type: ignore[arg-type]
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, context, service=Service.DISPATCHER))
        yield Served(listener.getsockname()[1])
        stop.set()


async def closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def cut(reason: str) -> float:
    labels = {"service": "dispatcher", "reason": reason}
    return REGISTRY.get_sample_value("earshot_connections_cut_total", labels) or 0.0


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([GET, b"A: " + b"x" * 40_000 + b"\r\n\r\n"], 431),
        ([GET, *[b"A: " + b"x" * 60_000 + b"\r\n"] * 40], 431),
        ([GET, b"A", *[b"x" * 60_000] * 40], 431),
        ([GET, *[b"A%d: b\r\n" % number for number in range(200)], b"\r\n"], 431),
        ([GET, b"Cookie: a=b\r\n" * 3000, b"\r\n"], 431),
        ([b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"], 414),
        ([b"GET /?", *[b"x" * 60_000] * 20], 431),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"], 400),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nxx"], 400),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], 400),
        ([b"GET \xd0\xb0 HTTP/1.1\r\nHost: a\r\n\r\n"], 400),
        ([b"GET // HTTP/1.1\r\nHo\0st: a\r\n\r\n"], 400),
        ([b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"], 400),
        ([b"NONSENSE / HTTP/1.1\r\n\r\n"], 400),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500], 400),
    ],
)
async def test_head_that_is_too_large_or_none_is_refused_and_the_refusal_can_be_read(
    pieces: list[bytes], status: int
) -> None:
    async with served() as server:
        answer = await server.send(*pieces)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b"connection: close" in answer
        assert await server.works()


async def test_head_of_the_usual_size_is_served_in_pieces_too() -> None:
    async with served() as server:
        head = GET + b"Connection: close\r\nCookie: " + b"x" * 8000 + b"\r\nA: " + b"y" * 8000 + b"\r\n\r\n"
        assert (await server.send(head)).startswith(b"HTTP/1.1 200")
        pieces = [head[place : place + 100] for place in range(0, len(head), 100)]
        assert (await server.send(*pieces)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"GET /u HT"], "head_time"),
        ([GET + b"A: b\r\n"], "head_time"),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"a=1"], "body_time"),
        ([b"POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\na=1"], "body_time"),
    ],
)
async def test_request_that_does_not_come_in_time_is_answered_and_ended(pieces: list[bytes], reason: str) -> None:
    before = cut(reason)
    async with served(head_s=0.2, body_s=0.2) as server:
        assert (await server.send(*pieces)).startswith(b"HTTP/1.1 408 ")
        assert await server.works()
    assert cut(reason) == before + 1


@pytest.mark.parametrize("sent", [b"", b"\r\n", GET + b"\r\n", GET + b"\r\n\r\n\r\n"])
async def test_idle_connection_is_closed_without_a_refusal(sent: bytes) -> None:
    async with served(head_s=0.2, idle_s=1) as server:
        answer = await server.send(sent)
        assert answer.count(b"HTTP/1.1 ") == sent.count(b"GET")
        assert b"HTTP/1.1 4" not in answer


async def test_body_that_drips_after_its_answer_is_ended() -> None:
    """Uvicorn's own time between requests begins anew with every byte."""
    async with served(body_s=0.2) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait((ended,), timeout=0.1)
        assert (await ended).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_client_that_does_not_read_is_ended() -> None:
    before = cut("stalled")
    async with served(stalled_s=0.2) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        while cut("stalled") == before:
            await asyncio.wait_for(asyncio.shield(asyncio.create_task(server.works())), 10)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(100_000_000)
        writer.close()


async def test_stream_has_no_time_limit_and_takes_no_place() -> None:
    async with served(connections=10, head_s=0.2, body_s=0.2, idle_s=1, stalled_s=0.2) as server:
        streams = []
        for _ in range(15):
            reader, writer = await server.connect()
            streams.append((reader, writer))
            writer.write(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await reader.readuntil(b"begun")
        assert await server.send(b"GET /u HT")  # has waited for longer than any limit
        assert await server.works()
        for reader, _ in streams:
            assert not reader.at_eof()
        await closed(*(writer for _, writer in streams))


async def test_one_client_cannot_occupy_the_server() -> None:
    """The connection that has waited longest for its request gives way to a new one."""
    before = cut("most")
    async with served(connections=10) as server:
        idle = [await server.connect() for _ in range(40)]
        for _, writer in idle[:20:2]:
            writer.write(b"GET /u HT")
        assert await server.works()
        first, last = idle[0][0], idle[-1][0]
        assert await first.read() == b""
        assert not last.at_eof()
        await closed(*(writer for _, writer in idle))
    assert cut("most") >= before + 30


async def test_connections_of_one_public_address_are_bounded() -> None:
    config = BoundedConfig(app, limits=ConnectionLimits(client_connections=2), service=Service.DISPATCHER)
    config.load()
    state, made = ServerState(), []
    for peer in ("8.8.8.8", "8.8.8.8", "::ffff:8.8.8.8", "8.8.4.4", "10.0.0.1", "10.0.0.1", "10.0.0.1"):
        made.append(Connection(peer))
        Protocol(config, state, {}).connection_made(made[-1])
    assert [each.written.split(b" ")[1:2] == [b"503"] for each in made] == [False, False, True, *[False] * 4]


class Connection(asyncio.Transport):
    """A transport of a given peer that keeps what is written."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        return None


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with served() as server:
        post = b"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        answer = await server.send(post % 3 + b"abc" + post % 1 + b"x" + GET + b"Connection: close\r\n\r\n")
        assert [part.rsplit(b"\r\n\r\n", 1)[-1][:1] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
            b"3",
            b"1",
            b"0",
        ]
