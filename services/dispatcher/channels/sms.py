"""Text messages in Twilio's wire format.

Source: https://www.twilio.com/docs/messaging/api/message-resource (POST /2010-04-01/Accounts/{sid}/Messages.json).
Twilio knows no idempotency key, so a reply that never came is `unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from services.dispatcher.domain import Disposition, Outgoing, Result
from shared.http_client import HttpClient, MaybeSent, NotSent, Reply
from shared.vocabulary import ChannelKind

_LATER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_ABOUT_ACCOUNT = range(20000, 21000)
_ABOUT_SENDER = (21603, 21606, 21611, 21659, 21660)  # no such number of ours, or its queue is full


@dataclass(frozen=True)
class TwilioAccount:
    http: HttpClient
    sid: str
    sender: str
    name: str = "twilio"
    channel: ChannelKind = ChannelKind.SMS

    @property
    def free_slots(self) -> int:
        return self.http.free_slots

    async def send_all(self, messages: Sequence[Outgoing], *, within_s: float) -> list[Disposition]:
        if within_s <= 0:
            return [Disposition(Result.NOT_STARTED)] * len(messages)
        return await asyncio.gather(*(self._send(message, within_s) for message in messages))

    async def _send(self, message: Outgoing, within_s: float) -> Disposition:
        form = {"To": message.recipient, "From": self.sender, "Body": message.body.decode()}
        try:
            reply = await self.http.post_form(f"/2010-04-01/Accounts/{self.sid}/Messages.json", form, within_s=within_s)
        except NotSent:
            return Disposition(Result.NOT_ACCEPTED, "unreachable")
        except MaybeSent:
            return Disposition(Result.UNKNOWN, "no_reply")
        return disposition(reply)

    async def close(self) -> None:
        await self.http.close()


def disposition(reply: Reply) -> Disposition:
    """Read Twilio's reply. 201 is accepted; other codes refuse this message, save those about our account or number.

    A 5xx says that it failed on their side, not that nothing was accepted; only 503 does.
    """
    body = reply.json()
    if reply.status == HTTPStatus.CREATED:
        return Disposition(Result.SENT, message_id=_text(body.get("sid")))
    code = body.get("code") if isinstance(body.get("code"), int) else reply.status
    if reply.status in _LATER or code in _ABOUT_ACCOUNT or code in _ABOUT_SENDER:
        return Disposition(Result.NOT_ACCEPTED, f"twilio_{code}")
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return Disposition(Result.REFUSED if refused else Result.UNKNOWN, f"twilio_{code}")


def _text(value: object) -> str | None:
    return value[:100] if isinstance(value, str) and value.isascii() and value.isprintable() else None
