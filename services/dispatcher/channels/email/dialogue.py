"""Commands and replies on an SMTP connection that aiosmtplib has opened, encrypted and authenticated.

aiosmtplib waits for the reply to each command and drops replies that come before it waits. Here commands can be
pipelined (RFC 2920), and a command costs a third of the time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from typing import cast

from aiosmtplib import SMTP, SMTPResponse, SMTPResponseException, SMTPServerDisconnected, SMTPStatus

_LONGEST_LINE = 8192
_MOST_TEXT = 1000
_UNREADABLE = SMTPResponse(SMTPStatus.invalid_response, "not an SMTP reply")


class Dialogue(asyncio.Protocol):
    """Takes over a connection as its protocol; raises the exceptions of aiosmtplib, and TimeoutError."""

    def __init__(self, transport: asyncio.Transport, *, pipelines: bool) -> None:
        self.transport, self.pipelines = transport, pipelines
        self._unread, self._text = b"", b""
        self._replies: deque[SMTPResponse] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        transport.set_protocol(self)

    @classmethod
    async def take_over(cls, smtp: SMTP) -> Dialogue:
        if smtp.is_ehlo_or_helo_needed:
            await smtp.ehlo()
        if smtp.protocol is None or smtp.protocol.transport is None:
            raise SMTPServerDisconnected("lost after EHLO")
        return cls(cast("asyncio.Transport", smtp.protocol.transport), pipelines=smtp.supports_extension("pipelining"))

    def drop_unsolicited(self) -> None:
        """Drop replies that belong to no command, such as the 421 of a server that closes idle connections."""
        self._replies.clear()

    def write(self, written: bytes) -> None:
        if self._ended or self.transport.is_closing():
            raise SMTPServerDisconnected("connection lost")
        self.transport.write(written)

    async def reply(self, *, by: float) -> SMTPResponse:
        """Wait for the next reply until `by`, in the event loop's time.

        The lines of a multiline reply are joined by spaces, up to 1,000 characters.
        """
        while not self._replies:
            if self._ended:
                raise SMTPServerDisconnected("connection lost")
            await self._next(by)
        reply = self._replies.popleft()
        if reply.code == SMTPStatus.invalid_response:
            raise SMTPResponseException(reply.code, reply.message)
        return reply

    async def _next(self, by: float) -> None:
        """Wait until a reply has come or the connection has ended; a timer costs less than `asyncio.timeout`."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        timer = loop.call_at(by, _time_out, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._read(line)
        if len(self._unread) > _LONGEST_LINE:
            self._unread = b""
            self._replies.append(_UNREADABLE)
        if self._replies:
            self._wake()

    def _read(self, line: bytes) -> None:
        if line[3:4] == b"-" and _is_reply(line):
            if len(self._text) < _MOST_TEXT:
                self._text += line[4:].strip() + b" "
        else:
            self._replies.append(_reply_of(self._text, line))
            self._text = b""

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended = True
        self._wake()


@lru_cache(maxsize=100)  # most lines of a server are the same for every mail
def _reply_of(before: bytes, line: bytes) -> SMTPResponse:
    """Return the reply that ends with this line, with the text of the lines before it."""
    if not _is_reply(line):
        return _UNREADABLE
    text = before + line[4:].strip()
    return SMTPResponse(int(line[:3]), text[:_MOST_TEXT].strip().decode(errors="replace"))


def _is_reply(line: bytes) -> bool:
    return line[:3].isdigit() and len(line) <= _LONGEST_LINE


def _time_out(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
