"""Fake providers: loopback servers that record what they receive and misbehave when told to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from urllib.parse import parse_qsl

import uvicorn
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class SmtpSink:
    """An SMTP server. `replies` gives a recipient its own answer to RCPT, `verdict` one to the whole message.

    An empty verdict hangs up.
    """

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    connections: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    verdict: str = "250 OK"
    stalled: set[str] = field(default_factory=set)  # whose next mail is taken, and heard of once `go_on` is set
    stalling: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    on_data: Callable[[], None] = lambda: None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.on_data()
        if self.verdict.startswith("250"):
            self.mails.append(BytesParser().parsebytes(envelope.content))
            self.recipients += envelope.rcpt_tos
        if self.stalled & set(envelope.rcpt_tos):
            self.stalled.difference_update(envelope.rcpt_tos)
            self.stalling.set()
            await self.go_on.wait()
        if not self.verdict:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return self.verdict


@contextlib.asynccontextmanager
async def smtp_sink(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, password: str = "", port: int = 0
) -> AsyncIterator[SmtpSink]:
    """Serve SMTP, over TLS or STARTTLS when given a context; a password, when there is one, must be known."""
    sink = SmtpSink()

    def knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object) -> AuthResult:
        return AuthResult(success=isinstance(given, LoginPassword) and given.password == password.encode())

    def connected() -> SMTP:
        sink.connections += 1
        return SMTP(
            sink,
            enable_SMTPUTF8=False,
            loop=asyncio.get_running_loop(),
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=knows,
            auth_require_tls=False,
        )

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", port, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


@contextlib.asynccontextmanager
async def smtp_that_hangs_up(*, after_dot: bool) -> AsyncIterator[int]:
    """Serve SMTP up to DATA, then cut the connection: early in the content, or after the final dot without a reply."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await (reader.readuntil(b"\r\n.\r\n") if after_dot else reader.readline())
                break
            writer.write(b"250 fine\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, limit=1_000_000)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass
class ScriptedSmtp:
    """An SMTP server that follows a script: per verb (`GREETING`, `EHLO`, … `CONTENT`) the replies to give in turn.

    A reply of None hangs up, an empty one says nothing; beyond its script a verb is answered as usual.
    """

    port: int = 0
    script: dict[str, list[bytes | None]] = field(default_factory=dict)
    verbs: list[str] = field(default_factory=list)
    accepted: int = 0
    connections: int = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        verb, usual = "GREETING", b"220 here"
        try:
            while self._answer(writer, verb, usual):
                if self._takes_content:
                    await reader.readuntil(b"\r\n.\r\n")
                    verb, usual = "CONTENT", b"250 taken"
                else:
                    verb = (await reader.readuntil(b"\r\n")).split()[0].decode().upper()
                    usual = _USUAL.get(verb, b"250 fine")
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    def _answer(self, writer: asyncio.StreamWriter, verb: str, usual: bytes) -> bool:
        self.verbs.append(verb)
        replies = self.script.get(verb)
        reply = replies.pop(0) if replies else usual
        self._takes_content = verb == "DATA" and reply is not None and reply.startswith(b"354")
        if reply is None:
            return False
        self.accepted += verb == "CONTENT" and reply.startswith(b"2")
        writer.write(reply + b"\r\n" if reply else b"")
        return verb != "QUIT"


_USUAL = {"DATA": b"354 go on", "EHLO": b"250-here\r\n250 AUTH PLAIN", "QUIT": b"221 bye", "AUTH": b"235 welcome"}


@contextlib.asynccontextmanager
async def scripted_smtp(**script: Sequence[bytes | None]) -> AsyncIterator[ScriptedSmtp]:
    fake = ScriptedSmtp(script={verb: list(replies) for verb, replies in script.items()})
    server = await asyncio.start_server(fake.converse, "127.0.0.1", 0, limit=1_000_000)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()


@dataclass
class Gateway:
    """An SMS gateway, or any provider with an HTTP interface. `answer` decides; None swallows the reply.

    A message counts as taken whether its reply is swallowed or not.
    """

    url: str = ""
    taken: list[dict[str, str]] = field(default_factory=list)  # the fields of each request: query, and form or JSON
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)
    answer: Callable[[dict[str, str]], Response | None] = lambda _form: JSONResponse(
        {"sid": "SM1", "status": "queued", "num_segments": "1", "error_code": None}, 201
    )
    swallowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: Request) -> Response:
        body = await request.body()
        form = dict(parse_qsl(body.decode())) if b"{" not in body[:1] else {}
        self.paths.append(f"{request.method} {request.url.path}")
        self.bodies.append(body)
        self.authorization.append(request.headers.get("authorization", ""))
        self.taken.append({**request.query_params, **form})
        reply = self.answer(self.taken[-1])
        if reply is None:
            await self.swallowing.wait()
            return Response(status_code=500)
        return reply


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the test run handles signals


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    fake = Gateway()
    app = Starlette(routes=[Route("/{path:path}", fake.respond, methods=["GET", "POST", "PUT"])])
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.01)
    fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        fake.swallowing.set()
        server.should_exit = True
        await serving


@dataclass
class Imap:
    """An IMAP mailbox of mails by uid, with the commands that the reader of bounces uses (RFC 3501)."""

    port: int = 0
    mails: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    password: str = "secret"
    refused: set[int] = field(default_factory=set)  # a FETCH that names one of these is answered with NO
    read_only: bool = False  # STORE is answered with NO

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK here\r\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                tag, _, command = line.decode().strip().partition(" ")
                self.commands.append(command)
                for reply in self._replies(command):
                    writer.write(reply)
                ok = b"NO wrong" if self._refuses(command) else b"OK done"
                writer.write(tag.encode() + b" " + ok + b"\r\n")
                if command == "LOGOUT":
                    break
        writer.close()

    def _refuses(self, command: str) -> bool:
        words = command.split()
        if words[0] == "LOGIN":
            return self.password not in command
        if words[:2] == ["UID", "FETCH"]:
            return bool(self.refused & set(map(int, words[2].split(","))))
        return words[:2] == ["UID", "STORE"] and self.read_only

    def _replies(self, command: str) -> Iterator[bytes]:
        words = command.split()
        if self._refuses(command):
            return
        if words[0] == "CAPABILITY":
            yield b"* CAPABILITY IMAP4rev1\r\n"
        elif words[0] == "SELECT":
            yield f"* {len(self.mails)} EXISTS\r\n".encode()
        elif words[:2] == ["UID", "SEARCH"]:
            yield f"* SEARCH {' '.join(str(uid) for uid in sorted(self.mails.keys() - self.seen))}\r\n".encode()
        elif words[:2] == ["UID", "FETCH"]:
            for number, uid in enumerate(map(int, words[2].split(",")), 1):
                content = self.mails[uid]
                yield f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(content)}}}\r\n".encode() + content + b")\r\n"
        elif words[:2] == ["UID", "STORE"]:
            self.seen |= set(map(int, words[2].split(",")))


@contextlib.asynccontextmanager
async def imap() -> AsyncIterator[Imap]:
    fake = Imap()
    server = await asyncio.start_server(fake.converse, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
