"""SMS by Twilio.

Sources: https://www.twilio.com/docs/messaging/api/message-resource (sending, reading),
https://www.twilio.com/docs/usage/security (signatures). Twilio has no idempotency key, so without a reply the
result is `unknown`. Its callbacks return our reference, and messages can be listed by recipient and day.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from services.dispatcher.channels.sms.gateway import (
    THROTTLE_WAIT_S,
    Inquiry,
    incoming_text,
    price_in,
    printable,
    segments_in,
)
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference, reference_in
from services.dispatcher.domain.replies import Reply as WrittenReply
from services.dispatcher.domain.replies import read_reply
from services.dispatcher.domain.steps import Bill, Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind
from shared.web.http_client import Call, HttpClient, Reply

NAME = "twilio"
_AWAY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
_ABOUT_ACCOUNT = range(20000, 21000)
_ABOUT_SENDER = (21603, 21606, 21659, 21660, 21661, 21701, 21702, 21703, 21704, 21705)  # our sender is not valid
_NOT_FROM_HERE = (21408, 21608, 21612)  # our account or number may not send to this country or number
_TOO_FAST = (20429, 21611)  # too many requests a second; the queue of our number is full


@dataclass(frozen=True)
class Twilio:
    """`sender` is a number, or the id of a messaging service; `callback` is the URL of our webhook."""

    http: HttpClient
    sid: str
    sender: str
    callback: str = ""
    name: str = NAME

    def call(self, message: OutgoingMessage) -> Call:
        form = {"To": message.recipient, "Body": message.body.decode()}
        sender = message.sender or self.sender
        form["MessagingServiceSid" if sender == self.sender and sender.startswith("MG") else "From"] = sender
        if self.callback:
            reference = str(Reference(message.invitation_id, message.step))
            form["StatusCallback"] = f"{self.callback}?{urlencode({'ref': reference})}"
        return Call("POST", f"/2010-04-01/Accounts/{self.sid}/Messages.json", form=form)

    def own_id(self, _message: OutgoingMessage) -> None:
        return None

    def disposition(self, reply: Reply, message: OutgoingMessage) -> Disposition:
        """Read a reply. 201 is accepted; a 4xx refuses the message unless its code is about our account or number.

        After a 5xx the message may have been accepted; only after 503 it was not.
        """
        body = reply.json()
        if reply.status == HTTPStatus.CREATED:
            return Disposition(SendResult.SENT, message_id=printable(body.get("sid")), bill=_bill(body))
        code = body.get("code") if isinstance(body.get("code"), int) else reply.status
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS or code in _TOO_FAST:
            return Disposition(SendResult.THROTTLED, f"twilio_{code}", wait_s=THROTTLE_WAIT_S)
        of_program = code in _ABOUT_SENDER and bool(message.sender)  # the sender of a program, not of the account
        if reply.status in _AWAY or code in _ABOUT_ACCOUNT or (code in _ABOUT_SENDER and not of_program):
            return Disposition(SendResult.UNAVAILABLE, f"twilio_{code}")
        if code in _NOT_FROM_HERE or of_program:
            return Disposition(SendResult.NOT_ACCEPTED, f"twilio_{code}")
        refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return Disposition(SendResult.REFUSED if refused else SendResult.UNKNOWN, f"twilio_{code}")

    def status_call(self, inquiry: Inquiry) -> Call:
        query = {"To": inquiry.phone, "DateSent>": inquiry.sent_on.isoformat(), "PageSize": "50"}
        return Call("GET", f"/2010-04-01/Accounts/{self.sid}/Messages.json", query=query)

    def read_status(self, reply: Reply, inquiry: Inquiry) -> Receipt | None:
        """Find our message by the link in its body; if Twilio redacts bodies, a message that is not found may exist."""
        messages = reply.json().get("messages")
        if reply.status != HTTPStatus.OK or not isinstance(messages, list):
            return None
        listed = [message for message in messages if isinstance(message, dict)]
        ours = next((message for message in listed if inquiry.link in str(message.get("body"))), None)
        if ours is not None:
            status, code = str(ours.get("status")), ours.get("error_code")
            kind = _KINDS.get(status, ReceiptKind.ACCEPTED)
            return _receipt(kind, status, code, str(ours.get("sid")), inquiry.reference)
        complete = len(listed) < 50 and all(message.get("body") for message in listed)
        return inquiry.never_seen(NAME) if complete else None


def signature(token: str, url: str, form: Sequence[tuple[str, str]]) -> str:
    """Return the X-Twilio-Signature: HMAC-SHA1 of the URL and the sorted fields, names and values joined."""
    signed = url + "".join(f"{name}{value}" for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


_KINDS = {
    "accepted": ReceiptKind.ACCEPTED,
    "queued": ReceiptKind.ACCEPTED,
    "sending": ReceiptKind.ACCEPTED,
    "sent": ReceiptKind.ACCEPTED,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.DELIVERED,
    "undelivered": ReceiptKind.UNDELIVERED,
    "failed": ReceiptKind.UNDELIVERED,
    "canceled": ReceiptKind.UNDELIVERED,
}
# https://www.twilio.com/docs/api/errors
_BY_ERROR = {
    21610: ReceiptKind.STOP,
    30003: ReceiptKind.SOFT_BOUNCE,  # the phone is off or out of reach
    30004: ReceiptKind.BLOCKED,
    30005: ReceiptKind.HARD_BOUNCE,  # no such number
    30006: ReceiptKind.HARD_BOUNCE,  # a landline
}


def receipts(form: Mapping[str, str], *, ref: str) -> list[Receipt]:
    """Parse a status callback; unknown statuses give no receipts."""
    status, sid = form.get("MessageStatus", ""), form.get("MessageSid", "")
    kind = _KINDS.get(status)
    if kind is None or not sid:
        return []
    error = form.get("ErrorCode", "")
    code = int(error) if re.fullmatch("[0-9]{1,6}", error) else None
    found = [_receipt(kind, status, code, sid, reference_in(ref))]
    if _BY_ERROR.get(code or 0) is ReceiptKind.STOP:
        found.append(Receipt(NAME, f"{sid}:stop", ReceiptKind.STOP, ChannelKind.SMS, None, reference_in(ref), sid))
    return found


def _receipt(kind: ReceiptKind, status: str, code: object, sid: str, reference: Reference | None) -> Receipt:
    learned = _BY_ERROR.get(code) if isinstance(code, int) and kind is ReceiptKind.UNDELIVERED else None
    if learned is not None and learned is not ReceiptKind.STOP:
        kind = learned
    reason = f"twilio_{code}" if isinstance(code, int) else None
    message_id = printable(sid)
    return Receipt(NAME, f"{sid}:{status}", kind, ChannelKind.SMS, reason, reference, message_id)


def reply_of_respondent(form: Mapping[str, str]) -> WrittenReply | None:
    """Parse an incoming SMS; Twilio sets `OptOutType` when it recognised a keyword and replied itself.

    Nobody has to read a HELP that it has answered.
    """
    sid, sender = form.get("MessageSid", ""), form.get("From", "")
    if not sid or not sender or form.get("OptOutType", "").upper() == "HELP":
        return None
    asks = read_reply(form.get("OptOutType", ""))
    return incoming_text(NAME, sid, sender=sender, text=form.get("Body", ""), asks=asks)


def _bill(body: Mapping[str, object]) -> Bill:
    """Return the segments and, if known, the price; Twilio reports it later, as a negative number, and null before."""
    price = price_in(body.get("price"))
    currency = printable(body.get("price_unit")) if price is not None else None
    return Bill(segments_in(body.get("num_segments")), None if price is None else abs(price), currency)
