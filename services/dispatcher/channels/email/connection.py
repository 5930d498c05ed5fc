"""An SMTP connection, kept between mails; its lock is held until the server has replied.

Until the final dot is written nothing was accepted; after it, without a reply, the outcome is unknown. aiosmtplib
raises the same exception for both, so the phase is tracked here. A failure before RCPT TO is not about the message: the
server or the network is unavailable.

Where the server supports it, the commands of the next mail are sent with the final dot of a mail (RFC 2920), which
saves waiting for one reply. The content of the next mail is sent only when the server has replied to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable

import aiosmtplib
import structlog

from services.dispatcher.channels.email.dialogue import Dialogue
from services.dispatcher.domain.bounces import RefusalCause, read_refusal
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.smtp_server import SmtpServer

_IDLE_S = 20.0
_REPLY_S = 5.0
_ENDING_S = 1.0  # for the reply to RSET or QUIT
_FLUSH_POLL_S = 0.01
_CONNECTION_ERRORS = (aiosmtplib.SMTPException, OSError, TimeoutError)
_ABOUT_US = frozenset({500, 502, 503, 504, 530, 534, 535, 538})  # commands and authentication, RFC 5321 and 4954
_CLOSING = 421
_MAY_BE_ABOUT_US = (RefusalCause.UNCLEAR, RefusalCause.CONTENT)
_TEMPORARY_REST_S, _PERMANENT_REST_S = 60.0, 900.0
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")  # at the start of a reply's text, RFC 2034

log = structlog.get_logger()


def nothing() -> None:
    return None


class SmtpConnection:
    def __init__(self, server: SmtpServer, sender: str) -> None:
        self._server, self._sender = server, sender
        self._smtp: aiosmtplib.SMTP | None = None
        self._dialogue: Dialogue | None = None
        self._used_at = float("-inf")
        self._addressed = self._dot_written = False
        self._announced: OutgoingMessage | None = None  # its commands were sent with the final dot of the mail before
        self._upcoming: Callable[[], OutgoingMessage | None] = nothing
        self._announces = True  # until the server loses commands that come with a final dot
        self._lock = asyncio.Lock()

    async def send(
        self,
        message: OutgoingMessage,
        *,
        deadline: float,
        upcoming: Callable[[], OutgoingMessage | None] = nothing,
    ) -> Disposition:
        """Send when the connection is free; if the server had closed the kept connection, once more over a new one.

        `upcoming` is called at most once, just before the final dot; what it returns should be sent next, because its
        commands may have been sent already. Another message after it needs a new connection.
        """
        try:
            async with asyncio.timeout_at(deadline) if self._lock.locked() else contextlib.nullcontext():
                await self._lock.acquire()
        except TimeoutError:
            return Disposition(SendResult.NOT_STARTED)
        try:
            self._upcoming = upcoming
            return await self._send(message, deadline)
        except BaseException:
            self._drop()  # cancelled: replies still to come would be read as those of the next mail
            raise
        finally:
            self._lock.release()

    async def _send(self, message: OutgoingMessage, deadline: float) -> Disposition:
        was_kept, was_announced = self._smtp is not None, self._announced is message
        disposition = await self._try(message, deadline)
        certainly_not = (
            disposition.result in (SendResult.NOT_ACCEPTED, SendResult.UNAVAILABLE) and not self._dot_written
        )
        if was_kept and self._smtp is None and certainly_not:
            if was_announced and disposition.reason != f"smtp_{_CLOSING}":
                self._announces = False
            return await self._try(message, deadline)
        return disposition

    async def _try(self, message: OutgoingMessage, deadline: float) -> Disposition:
        self._addressed = self._dot_written = False
        try:
            return await self._transact(message, deadline)
        except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
            if error.code == _CLOSING:
                self._drop()
            elif self._announced is None:
                await self._reset()
            return _refusal(error)
        except Exception as error:
            if not isinstance(error, _CONNECTION_ERRORS):
                log.exception("email.not_sent", invitation_id=str(message.invitation_id), step=message.step)
            self._drop()
            if self._dot_written:
                return Disposition(SendResult.UNKNOWN, "no_reply")
            is_away = isinstance(error, _CONNECTION_ERRORS) and (not self._addressed or _code(error) == _CLOSING)
            result = SendResult.UNAVAILABLE if is_away else SendResult.NOT_ACCEPTED
            return Disposition(result, f"smtp_{_kind(error)}", wait_s=_rest_s(error) if is_away else 0.0)

    async def _transact(self, message: OutgoingMessage, deadline: float) -> Disposition:
        dialogue = await self._begin(message, deadline)
        await self._envelope(dialogue, message, deadline)
        reply = await self._content(dialogue, message, deadline)
        if 400 <= reply.code < 600:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        if not 200 <= reply.code < 300:
            raise aiosmtplib.SMTPResponseException(reply.code, reply.message)  # not a valid reply to a message
        return Disposition(SendResult.SENT)

    async def _begin(self, message: OutgoingMessage, deadline: float) -> Dialogue:
        """Send MAIL FROM, or all commands where the server supports pipelining, unless they have been sent already."""
        announced, self._announced = self._announced, None
        if announced is message and self._dialogue is not None:
            return self._dialogue
        if announced is not None:
            self._drop()  # the server waits for the content of another message
        dialogue = await self._connected(deadline)
        dialogue.drop_unsolicited()
        dialogue.write(self._commands(message) if dialogue.pipelines else _command("MAIL FROM", self._sender))
        return dialogue

    def _commands(self, message: OutgoingMessage) -> bytes:
        return _command("MAIL FROM", self._sender) + _command("RCPT TO", message.recipient) + _DATA

    async def _envelope(self, dialogue: Dialogue, message: OutgoingMessage, deadline: float) -> None:
        """Check the replies to MAIL FROM, RCPT TO and DATA; send the latter two unless they are pipelined."""
        reply = await _reply(dialogue, deadline)
        if reply.code != aiosmtplib.SMTPStatus.completed:
            raise aiosmtplib.SMTPSenderRefused(reply.code, reply.message, self._sender)
        self._addressed = True
        if not dialogue.pipelines:
            dialogue.write(_command("RCPT TO", message.recipient))
        reply = await _reply(dialogue, deadline)
        if reply.code not in (aiosmtplib.SMTPStatus.completed, aiosmtplib.SMTPStatus.will_forward):
            if dialogue.pipelines:
                await self._end_data(dialogue, deadline)
            raise aiosmtplib.SMTPRecipientRefused(reply.code, reply.message, message.recipient)
        if not dialogue.pipelines:
            dialogue.write(_DATA)
        reply = await _reply(dialogue, deadline)
        if reply.code != aiosmtplib.SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)

    async def _end_data(self, dialogue: Dialogue, deadline: float) -> None:
        """Read the reply to DATA after a refused recipient; close the connection if the server waits for content."""
        try:
            if (await _reply(dialogue, deadline)).code != aiosmtplib.SMTPStatus.start_input:
                return
        except _CONNECTION_ERRORS:
            pass
        self._drop()

    async def _content(self, dialogue: Dialogue, message: OutgoingMessage, deadline: float) -> aiosmtplib.SMTPResponse:
        """Write the message; the final dot only after everything before it has left this process."""
        transport = dialogue.transport
        dialogue.write(_dot_stuffed(message.body) if message.dotted else message.body)
        await asyncio.sleep(0)  # notice before the dot that the server has closed the connection
        while transport.get_write_buffer_size() and not transport.is_closing():
            _check_time(deadline)
            await asyncio.sleep(_FLUSH_POLL_S)
        if transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("lost before the final dot")
        _check_time(deadline)
        following = self._announcement(dialogue)
        self._dot_written = True
        dialogue.write(b".\r\n" + following)
        return await dialogue.reply(by=deadline)  # a slow server may have accepted it

    def _announcement(self, dialogue: Dialogue) -> bytes:
        """Return the commands of the upcoming message; empty if there is none, or the server does not support that."""
        if not (dialogue.pipelines and self._announces):
            return b""
        if (upcoming := self._upcoming()) is None:
            return b""
        try:
            commands = self._commands(upcoming)
        except ValueError:  # reported when it is the turn of this message
            return b""
        self._announced = upcoming
        return commands

    async def _connected(self, deadline: float) -> Dialogue:
        if self._smtp is not None and time.monotonic() - self._used_at > _IDLE_S:
            await self._quit()  # the server may be about to close an idle connection
        if self._smtp is None or self._dialogue is None or not self._smtp.is_connected:
            async with asyncio.timeout_at(deadline):
                self._smtp = self._server.client()
                await self._smtp.connect()
                self._dialogue = await Dialogue.take_over(self._smtp)
        self._used_at = time.monotonic()
        return self._dialogue

    async def _reset(self) -> None:
        try:
            await self._ask(b"RSET\r\n")
        except _CONNECTION_ERRORS:
            self._drop()

    async def _ask(self, command: bytes) -> None:
        if self._dialogue is not None:
            self._dialogue.write(command)
            await self._dialogue.reply(by=time.monotonic() + _ENDING_S)

    async def close(self) -> None:
        """Quit once the mail that is being sent has ended."""
        async with self._lock:
            await self._quit()

    async def _quit(self) -> None:
        """Send QUIT and close; errors are ignored, because no mail is being sent."""
        try:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                if self._announced is None:  # else the server would read it as content
                    await self._ask(b"QUIT\r\n")
        finally:
            self._drop()

    def _drop(self) -> None:
        smtp, self._smtp, self._dialogue, self._announced = self._smtp, None, None, None
        if smtp is not None:
            smtp.close()


_FORBIDDEN = re.compile(r"[\r\n\0<>]")
_DATA = b"DATA\r\n"


def _check_time(deadline: float) -> None:
    """Raise TimeoutError after the deadline: this process may have been paused, and the lease of the step has ended."""
    if time.monotonic() >= deadline:
        raise TimeoutError


async def _reply(dialogue: Dialogue, deadline: float) -> aiosmtplib.SMTPResponse:
    return await dialogue.reply(by=min(deadline, time.monotonic() + _REPLY_S))


def _command(verb: str, address: str) -> bytes:
    if _FORBIDDEN.search(address):
        raise ValueError("invalid address")
    return f"{verb}:<{address}>\r\n".encode("ascii")


def _refusal(error: aiosmtplib.SMTPResponseException) -> Disposition:
    """Return the disposition of an error reply: 5xx is final unless it is about our account, others may be retried."""
    refusal, reason = read_refusal(code=error.code, text=error.message), _reason(error)
    if refusal.cause is RefusalCause.ABOUT_US:
        return Disposition(SendResult.UNAVAILABLE, reason, wait_s=_rest_s(error))
    if error.code == _CLOSING or error.code in _ABOUT_US:
        return Disposition(SendResult.UNAVAILABLE, reason)
    if 500 <= error.code < 600:
        return Disposition(SendResult.REFUSED, reason, unclear=refusal.cause is RefusalCause.CONTENT)
    return Disposition(SendResult.NOT_ACCEPTED, reason, unclear=refusal.cause in _MAY_BE_ABOUT_US)


def _reason(error: aiosmtplib.SMTPResponseException) -> str:
    enhanced = _ENHANCED.match(error.message)
    return f"smtp_{error.code}_{enhanced[1]}" if enhanced else f"smtp_{error.code}"


def _rest_s(error: Exception) -> float:
    """Return how long an account rests that is refused in words: a permanent refusal is not soon lifted."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return 0.0
    if read_refusal(code=error.code, text=error.message).cause is not RefusalCause.ABOUT_US:
        return 0.0
    return _PERMANENT_REST_S if 500 <= error.code < 600 else _TEMPORARY_REST_S


def _code(error: BaseException) -> int | None:
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None


def _kind(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return str(error.code)
    if isinstance(error, TimeoutError):
        return "timeout"
    return "disconnected" if isinstance(error, _CONNECTION_ERRORS) else "error"


def _dot_stuffed(body: bytes) -> bytes:
    """Double the dot at the start of a line, RFC 5321, 4.5.2."""
    body = b"." + body if body.startswith(b".") else body
    return body.replace(b"\r\n.", b"\r\n..")
