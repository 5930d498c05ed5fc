"""Mail to staff: plain texts over an account of its own, apart from all mail to respondents."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from enum import StrEnum

import aiosmtplib
import structlog

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.languages.current import lookup
from shared.languages.marking import mark
from shared.mail_address import read_sender
from shared.metrics import STAFF_MAILS
from shared.smtp_server import SmtpServer

_CONNECT_S, _MAIL_S, _QUIT_S = 10.0, 20.0, 1.0
_WHOLE_S = 45.0  # for all mails of one call
_HOUR_S = 3600.0
_CLOSING = 421
_FAILURES = (aiosmtplib.SMTPException, OSError, TimeoutError, UnicodeError)  # the last: a host that is no name

log = structlog.get_logger()


class Delivery(StrEnum):
    """What became of a mail; all but SENT may be tried again."""

    SENT = "sent"  # the server has accepted it
    REFUSED = "refused"
    LOG_IN = "log_in"
    UNAVAILABLE = "unavailable"
    UNCONFIRMED = "unconfirmed"
    CEILING = "ceiling"

    @property
    def why(self) -> str:
        """Say why the mail was not sent, "" if it was."""
        return lookup(_WHY[self]) if _WHY[self] else ""


_WHY: Mapping[Delivery, str] = {
    Delivery.SENT: "",
    Delivery.REFUSED: mark("the mail server refuses this mail or address"),
    Delivery.LOG_IN: mark("the mail server refuses our user name or password"),
    Delivery.UNAVAILABLE: mark("the mail server cannot be reached, or is too slow"),
    Delivery.UNCONFIRMED: mark("the mail server did not say in time whether it took the mail"),
    Delivery.CEILING: mark("the ceiling of mails an hour is reached"),
}


@dataclass(frozen=True, slots=True)
class StaffLetter:
    """A mail to one person of the staff; `to` is an address that `mail_address` returned."""

    to: str
    subject: str
    text: str


class StaffMail:
    """Sends mails to staff over one connection for each call; at most `per_hour` are begun in any hour.

    The hour is counted in this process: another process has a ceiling of its own.
    """

    def __init__(
        self,
        server: SmtpServer,
        *,
        sender: str,
        per_hour: int,
        service: Service,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._sender, self._per_hour = server, sender, per_hour
        self._service, self._monotonic = service, monotonic
        self._begun: deque[float] = deque(maxlen=per_hour)

    @classmethod
    def of(cls, settings: Settings, service: Service) -> StaffMail | None:
        """Return the account of the settings, None where mail to staff is off."""
        if settings.staff_send == "off":
            return None
        server = SmtpServer.from_url(settings.staff_smtp_url.get_secret_value(), ca_file=settings.staff_smtp_ca_file)
        return cls(server, sender=settings.staff_from, per_hour=settings.staff_mails_per_hour, service=service)

    async def send(self, letters: Sequence[StaffLetter]) -> list[Delivery]:
        """Send mails one after the other, and say of each what became of it; takes at most 45 seconds."""
        deliveries: list[Delivery] = []
        failure = Delivery.UNAVAILABLE
        if letters:
            try:
                async with asyncio.timeout(_WHOLE_S):
                    await self._send_all(letters, deliveries)
            except _FAILURES as error:
                failure = _failure(error)
        deliveries += [failure] * (len(letters) - len(deliveries))
        for delivery in deliveries:
            STAFF_MAILS.labels(self._service, delivery).inc()
        return deliveries

    async def check(self) -> Delivery:
        """Connect and log in without sending anything; SENT if that works."""
        try:
            async with self._connected():
                return Delivery.SENT
        except _FAILURES as error:
            return _failure(error)

    async def _send_all(self, letters: Sequence[StaffLetter], deliveries: list[Delivery]) -> None:
        """Add what became of each mail to `deliveries`; raises when the connection fails."""
        async with self._connected() as smtp:
            for letter in letters:
                if not self._may_begin():
                    deliveries.append(Delivery.CEILING)
                    continue
                deliveries.append(Delivery.UNCONFIRMED)  # until the server has replied
                deliveries[-1] = await self._send(smtp, letter)

    async def _send(self, smtp: aiosmtplib.SMTP, letter: StaffLetter) -> Delivery:
        content = self._message(letter).as_bytes(policy=SMTP)
        try:
            async with asyncio.timeout(_MAIL_S):
                await smtp.sendmail(read_sender(self._sender)[1], [letter.to], content, timeout=_MAIL_S)
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused) as error:
            if _code(error) == _CLOSING:
                raise
            log.warning("staff_mail.refused", code=_code(error))
            return Delivery.REFUSED
        return Delivery.SENT

    def _message(self, letter: StaffLetter) -> EmailMessage:
        name, address = read_sender(self._sender)
        message = EmailMessage()
        message["From"] = Address(name, addr_spec=address)
        message["To"] = letter.to
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        return message

    def _may_begin(self) -> bool:
        """Count a mail, unless the ceiling of the last hour is reached."""
        now = self._monotonic()
        if len(self._begun) == self._per_hour and now - self._begun[0] < _HOUR_S:
            return False
        self._begun.append(now)
        return True

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        smtp = self._server.client()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await smtp.connect()
            yield smtp
            with contextlib.suppress(*_FAILURES):
                await smtp.quit(timeout=_QUIT_S)
        finally:
            smtp.close()


def _failure(error: Exception) -> Delivery:
    log.warning("staff_mail.failed", error=type(error).__name__, code=_code(error))
    return Delivery.LOG_IN if isinstance(error, aiosmtplib.SMTPAuthenticationError) else Delivery.UNAVAILABLE


def _code(error: Exception) -> int | None:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
