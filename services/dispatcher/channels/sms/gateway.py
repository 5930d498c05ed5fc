"""What every SMS gateway has in common: one request a message, a reply that is read, and perhaps a question later."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Protocol

from msgspec import structs

from services.dispatcher.channels.breaker import Breaker, Health
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.sms_text import sms_segments
from services.dispatcher.domain.steps import Disposition, Outgoing, Result
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.isolated import isolated
from shared.web.client import Call, HttpClient, MaybeSent, NotSent, Reply

MOST_SEGMENTS = 4
TOO_FAST_S = 30.0  # how long a message waits that came too fast for its gateway
_PATIENCE_S = 8.0
_MOST_PAID, _MILLIONTH = Decimal(10**9), Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A message that may have been accepted. `link` is in its text and in no other; `sent_on` is a UTC day.

    `settled` says that enough time has passed for the provider to know it, had it ever been there.
    """

    reference: Reference
    phone: str
    link: str
    sent_on: date
    settled: bool
    provider: str  # the account it went through, as the ledger names it

    def never_seen(self, provider: str) -> Receipt | None:
        if not self.settled:
            return None
        key = f"{self.reference}:never_seen"
        return Receipt(provider, key, ReceiptKind.NOT_ACCEPTED, ChannelKind.SMS, "never_seen", self.reference)


class Gateway(Protocol):
    """A provider's wire format. Nothing here waits or writes."""

    @property
    def name(self) -> str: ...

    @property
    def http(self) -> HttpClient: ...

    def call(self, message: Outgoing) -> Call: ...

    def own_id(self, message: Outgoing) -> str | None:
        """The id we gave the message ourselves: known even when no reply came."""

    def disposition(self, reply: Reply) -> Disposition: ...

    def question(self, inquiry: Inquiry) -> Call | None:
        """Ask what became of a message; None where the provider cannot be asked."""

    def answer(self, reply: Reply, inquiry: Inquiry) -> Receipt | None: ...


@dataclass(frozen=True)
class SmsAccount:
    """A gateway as a channel account: sends once, and asks later where the reply was lost."""

    gateway: Gateway
    breaker: Breaker = field(default_factory=Breaker)
    channel: ChannelKind = ChannelKind.SMS

    @property
    def name(self) -> str:
        return self.gateway.name

    @property
    def free_slots(self) -> int:
        return self.breaker.places(self.gateway.http.free_slots)

    async def send_all(self, messages: Sequence[Outgoing], *, within_s: float) -> list[Disposition]:
        """Send; while the provider is away only what may find out whether it is back, the others wait."""
        if within_s <= 0:
            return [Disposition(Result.NOT_STARTED)] * len(messages)
        send = partial(self._send, within_s=within_s)
        if self.breaker.health is Health.LOST:
            return await self.breaker.ask_once(send, messages)
        places = self.breaker.places(len(messages))
        waiting = [Disposition(Result.THROTTLED, "provider_away", wait_s=self.breaker.rest_s)] * (
            len(messages) - places
        )
        return [*await asyncio.gather(*map(send, messages[:places])), *waiting]

    async def _send(self, message: Outgoing, *, within_s: float) -> Disposition:
        reference = str(Reference(message.invitation_id, message.step))
        with isolated("sms", service=Service.DISPATCHER, reference=reference):
            return await self._sent(message, within_s)
        return Disposition(Result.UNKNOWN, "not_read", self.gateway.own_id(message))

    async def _sent(self, message: Outgoing, within_s: float) -> Disposition:
        if sms_segments(message.body.decode()) > MOST_SEGMENTS:
            return Disposition(Result.REFUSED, "too_long")
        found = await self._asked(message, within_s)
        self.breaker.heard(found.result)
        return found

    async def _asked(self, message: Outgoing, within_s: float) -> Disposition:
        own_id = self.gateway.own_id(message)
        try:
            reply = await self.gateway.http.send(self.gateway.call(message), within_s=within_s)
        except NotSent:
            return Disposition(Result.UNAVAILABLE, "unreachable")
        except MaybeSent:
            return Disposition(Result.UNKNOWN, "no_reply", own_id)
        found = self.gateway.disposition(reply)
        return structs.replace(found, message_id=own_id or found.message_id, reason=_bounded(found.reason))

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        """Ask what became of a message of ours; None when the answer says nothing, or there is none."""
        question = self.gateway.question(inquiry)
        if question is None or inquiry.provider != self.name:
            return None
        try:
            reply = await self.gateway.http.send(question, within_s=_PATIENCE_S)
        except (NotSent, MaybeSent):
            return None
        return self.gateway.answer(reply, inquiry)

    async def close(self) -> None:
        await self.gateway.http.close()


def _bounded(reason: str | None) -> str | None:
    return reason and reason[:100]


def segments_in(value: object) -> int | None:
    """A provider's number of segments, where it is one."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else None


def price_in(value: object) -> Decimal | None:
    """A provider's price as it may be stored: to a millionth, and less than a thousand million."""
    text = str(value) if isinstance(value, int | float | str) else ""
    try:
        price = Decimal(text[:50])
    except InvalidOperation:
        return None
    if not price.is_finite() or abs(price) >= _MOST_PAID:
        return None
    return price if int(price.as_tuple().exponent) >= -6 else price.quantize(_MILLIONTH)


def printable(value: object) -> str | None:
    """A provider's id as it may be stored."""
    return value[:100] if isinstance(value, str) and value.isascii() and value.isprintable() else None
