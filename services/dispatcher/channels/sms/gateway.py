"""An SMS account over a gateway: sends a message by one HTTP request, and asks for its status by another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Protocol

from msgspec import structs

from services.dispatcher.channels.breaker import Breaker, ProviderHealth
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.replies import Reply as WrittenReply
from services.dispatcher.domain.replies import read_reply
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.contract.sms import sms_segments
from shared.contract.vocabulary import ChannelKind, Service, address_fingerprint
from shared.database.isolated import isolated
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply

MOST_SEGMENTS = 4
THROTTLE_WAIT_S = 30.0  # how long a message waits after HTTP status 429
_STATUS_TIMEOUT_S = 8.0
_MOST_TEXT = 2000  # characters of an incoming message
_PRICE_LIMIT, _MILLIONTH = Decimal(10**9), Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A message whose status is asked for. `link` occurs only in its text; `sent_on` is a UTC day.

    `settled` says that enough time has passed for the provider to know the message if it was accepted.
    """

    reference: Reference
    phone: str
    link: str
    sent_on: date
    settled: bool
    provider: str  # the name of the account it was sent through

    def never_seen(self, provider: str) -> Receipt | None:
        """Return the receipt of a message that the provider does not know; None until the inquiry is settled."""
        if not self.settled:
            return None
        key = f"{self.reference}:never_seen"
        return Receipt(provider, key, ReceiptKind.NOT_ACCEPTED, ChannelKind.SMS, "never_seen", self.reference)


class SmsGateway(Protocol):
    """A provider's wire format: builds requests and reads replies, without I/O."""

    @property
    def name(self) -> str: ...

    @property
    def http(self) -> HttpClient: ...

    def call(self, message: OutgoingMessage) -> Call: ...

    def own_id(self, message: OutgoingMessage) -> str | None:
        """Return the message id if we choose it, which is known without a reply; None if the provider chooses it."""

    def disposition(self, reply: Reply, message: OutgoingMessage) -> Disposition: ...

    def status_call(self, inquiry: Inquiry) -> Call | None:
        """Return the request for a message's status; None if the provider has no such request."""

    def read_status(self, reply: Reply, inquiry: Inquiry) -> Receipt | None: ...


@dataclass(frozen=True)
class SmsAccount:
    """A channel account that sends through a gateway."""

    gateway: SmsGateway
    breaker: Breaker = field(default_factory=Breaker)
    channel: ChannelKind = ChannelKind.SMS

    @property
    def name(self) -> str:
        return self.gateway.name

    @property
    def free_slots(self) -> int:
        return self.breaker.allowed(self.gateway.http.free_slots)

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        """Send as many messages as the breaker allows; the others are THROTTLED until its rest ends."""
        if within_s <= 0:
            return [Disposition(SendResult.NOT_STARTED)] * len(messages)
        send = partial(self._send, within_s=within_s)
        if self.breaker.health is ProviderHealth.LOST:
            return await self.breaker.probe(send, messages)
        allowed = self.breaker.allowed(len(messages))
        throttled = Disposition(SendResult.THROTTLED, "provider_away", wait_s=self.breaker.rest_s)
        return [*await asyncio.gather(*map(send, messages[:allowed])), *[throttled] * (len(messages) - allowed)]

    async def _send(self, message: OutgoingMessage, *, within_s: float) -> Disposition:
        reference = str(Reference(message.invitation_id, message.step))
        with isolated("sms", service=Service.DISPATCHER, reference=reference):
            return await self._send_checked(message, within_s)
        return Disposition(SendResult.UNKNOWN, "not_read", self.gateway.own_id(message))

    async def _send_checked(self, message: OutgoingMessage, within_s: float) -> Disposition:
        if sms_segments(message.body.decode()) > MOST_SEGMENTS:
            return Disposition(SendResult.REFUSED, "too_long")
        disposition = await self._request(message, within_s)
        self.breaker.record(disposition.result)
        return disposition

    async def _request(self, message: OutgoingMessage, within_s: float) -> Disposition:
        own_id = self.gateway.own_id(message)
        try:
            reply = await self.gateway.http.send(self.gateway.call(message), within_s=within_s)
        except NotSent:
            return Disposition(SendResult.UNAVAILABLE, "unreachable")
        except MaybeSent:
            return Disposition(SendResult.UNKNOWN, "no_reply", own_id)
        disposition = self.gateway.disposition(reply, message)
        message_id = own_id or disposition.message_id
        return structs.replace(disposition, message_id=message_id, reason=_bounded(disposition.reason))

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        """Ask for a message's status; None when the provider cannot be asked or its reply says nothing new."""
        call = self.gateway.status_call(inquiry)
        if call is None or inquiry.provider != self.name:
            return None
        try:
            reply = await self.gateway.http.send(call, within_s=_STATUS_TIMEOUT_S)
        except (NotSent, MaybeSent):
            return None
        return self.gateway.read_status(reply, inquiry)

    async def close(self) -> None:
        await self.gateway.http.close()


def _bounded(reason: str | None) -> str | None:
    return reason and reason[:100]


def segments_in(value: object) -> int | None:
    """Return the number of segments that a provider reports; None if it is not a number up to 9999."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else None


def price_in(value: object) -> Decimal | None:
    """Return the price that a provider reports, rounded to a millionth; None if it is not a number below 10^9."""
    text = str(value) if isinstance(value, int | float | str) else ""
    try:
        price = Decimal(text[:50])
    except InvalidOperation:
        return None
    if not price.is_finite() or abs(price) >= _PRICE_LIMIT:
        return None
    return price if int(price.as_tuple().exponent) >= -6 else price.quantize(_MILLIONTH)


def sender_number(text: str) -> str:
    """Return the number of an incoming message in E.164, however the provider writes it: `0049 151…`, `4915…`, `+49…`.

    It may be a short code or a name: then it is nobody's we wrote to.
    """
    digits = re.sub(r"\D", "", text)
    return f"+{digits.removeprefix('00')}"


def incoming_text(provider: str, key: str, *, sender: str, text: str, asks: ReceiptKind | None = None) -> WrittenReply:
    """Make the reply of a respondent who wrote a text message; `asks` is what the provider understood."""
    number = sender_number(sender)
    return WrittenReply(
        provider=provider,
        key=key[:200],
        channel=ChannelKind.SMS,
        sender=number,
        text=text.strip()[:_MOST_TEXT],
        at=datetime.now(UTC),
        asks=asks or read_reply(text),
        phone=address_fingerprint(number),
    )


def printable(value: object) -> str | None:
    """Return a provider's message id, at most 100 characters; None if it is not printable ASCII."""
    return value[:100] if isinstance(value, str) and value.isascii() and value.isprintable() else None
