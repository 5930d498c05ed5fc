"""E-mail by SMTP over kept connections.

What is certain depends on how far a message came: until the final dot is written nothing was accepted; after it,
without a reply, nobody knows. aiosmtplib raises the same exception for both, so the phase is tracked here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from services.dispatcher.domain import Disposition, Outgoing, Result
from shared.vocabulary import ChannelKind

_DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_IDLE_S = 20.0
_FLUSH_POLL_S = 0.01
_LAST_START_S = 5.0  # what is left of the budget when the last message may start
_TROUBLE = (aiosmtplib.SMTPException, OSError, TimeoutError)
_ABOUT_US = frozenset({500, 502, 503, 504, 530, 534, 535, 538})  # commands and authentication, RFC 5321 and 4954

log = structlog.get_logger()


class BadSmtpUrl(ValueError):
    """EARSHOT_SMTP_URL wants smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where to connect. `starttls` None uses TLS when the server offers it."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: bool | None

    @classmethod
    def from_url(cls, url: str) -> SmtpServer:
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise BadSmtpUrl(BadSmtpUrl.__doc__)
        return cls(
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "smtps",
            starttls={"smtps": False, "smtp+starttls": True}.get(parts.scheme),
        )

    def client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.tls,
            start_tls=self.starttls,
            timeout=5,
        )


class SmtpAccount:
    """Sends over a few connections at once; each is opened when needed and kept until it fails."""

    channel = ChannelKind.EMAIL

    def __init__(self, server: SmtpServer, *, sender: str, name: str = "smtp", connections: int = 4) -> None:
        self.name = name
        self._connections = [_Connection(server, sender) for _ in range(connections)]

    @property
    def free_slots(self) -> int:
        return 25 * len(self._connections)  # what they can send well within the budget

    async def send_all(self, messages: Sequence[Outgoing], *, within_s: float) -> list[Disposition]:
        dispositions = [Disposition(Result.NOT_STARTED)] * len(messages)
        queue = iter(enumerate(messages))
        deadline = time.monotonic() + within_s

        async def work(connection: _Connection, numbered: Iterator[tuple[int, Outgoing]]) -> None:
            for number, message in numbered:
                if time.monotonic() >= deadline - _LAST_START_S:
                    return
                dispositions[number] = await connection.send(message, deadline=deadline)

        await asyncio.gather(*(work(connection, queue) for connection in self._connections[: len(messages)]))
        return dispositions

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))


class _Connection:
    def __init__(self, server: SmtpServer, sender: str) -> None:
        self._server, self._sender = server, sender
        self._smtp: aiosmtplib.SMTP | None = None
        self._used_at = float("-inf")
        self._dot_written = False

    async def send(self, message: Outgoing, *, deadline: float) -> Disposition:
        """Send, and once more over a fresh connection when a kept one had ended."""
        was_kept = self._smtp is not None
        found = await self._try(message, deadline)
        if was_kept and self._smtp is None and found.result is Result.NOT_ACCEPTED and not self._dot_written:
            return await self._try(message, deadline)
        return found

    async def _try(self, message: Outgoing, deadline: float) -> Disposition:
        self._dot_written = False
        try:
            async with asyncio.timeout_at(deadline):
                return await self._converse(message, deadline)
        except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
            await self._reset()
            return _answered(error.code)
        except Exception as error:
            if not isinstance(error, _TROUBLE):
                log.exception("email.not_sent", invitation_id=str(message.invitation_id), step=message.step)
            await self.close(politely=False)
            if self._dot_written:
                return Disposition(Result.UNKNOWN, "no_reply")
            return Disposition(Result.NOT_ACCEPTED, f"smtp_{_kind(error)}")

    async def _converse(self, message: Outgoing, deadline: float) -> Disposition:
        smtp = await self._connected()
        await smtp.mail(self._sender)
        await smtp.rcpt(message.recipient)
        started = await smtp.execute_command(b"DATA")
        if started.code != aiosmtplib.SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(started.code, started.message)
        reply = await self._content(smtp, message.body, deadline)
        if 400 <= reply.code < 600:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        if not 200 <= reply.code < 300:
            raise aiosmtplib.SMTPResponseException(reply.code, reply.message)  # no answer to a message
        self._used_at = time.monotonic()
        return Disposition(Result.SENT)

    async def _content(self, smtp: aiosmtplib.SMTP, body: bytes, deadline: float) -> aiosmtplib.SMTPResponse:
        """Write the message, and the final dot only once all before it left this process."""
        protocol = smtp.protocol
        if protocol is None or protocol.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("lost after DATA")
        transport = cast("asyncio.Transport", protocol.transport)
        protocol.write(_stuffed(body))
        await asyncio.sleep(0)  # a server that hung up meanwhile is seen before the dot
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(_FLUSH_POLL_S)
        if transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("lost before the final dot")
        if time.monotonic() >= deadline:
            raise TimeoutError  # this process stood still: another may have given the step up
        self._dot_written = True
        protocol.write(b".\r\n")
        return await protocol.read_response()  # as long as the budget lasts: a slow one may have accepted it

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._smtp is not None and time.monotonic() - self._used_at > _IDLE_S:
            await self.close()  # a server may be about to hang up on an idle one
        if self._smtp is None or not self._smtp.is_connected:
            self._smtp = self._server.client()
            await self._smtp.connect()
        return self._smtp

    async def _reset(self) -> None:
        try:
            if self._smtp is not None:
                await self._smtp.rset(timeout=1)
        except _TROUBLE:
            await self.close(politely=False)

    async def close(self, *, politely: bool = True) -> None:
        """Hang up. An error on QUIT is no failed send."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        if politely and smtp.is_connected:
            with contextlib.suppress(*_TROUBLE):
                await smtp.quit(timeout=1)
        smtp.close()


def _answered(code: int) -> Disposition:
    """A reply to a message: 5xx is for good unless it is about us; anything else was not accepted and may be later."""
    refused = 500 <= code < 600 and code not in _ABOUT_US
    return Disposition(Result.REFUSED if refused else Result.NOT_ACCEPTED, f"smtp_{code}")


def _kind(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return str(error.code)
    if isinstance(error, TimeoutError):
        return "timeout"
    return "disconnected" if isinstance(error, _TROUBLE) else "error"


def _stuffed(body: bytes) -> bytes:
    """RFC 5321, 4.5.2: a line that begins with a dot gets another."""
    body = b"." + body if body.startswith(b".") else body
    return body.replace(b"\r\n.", b"\r\n..")
