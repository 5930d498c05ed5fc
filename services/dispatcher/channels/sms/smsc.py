"""SMS by SMSC.ru.

Sources: https://smsc.ru/api/http/send/sms/, https://smsc.ru/api/http/status_messages/check_status/,
https://smsc.ru/api/http/miscellaneous/callback/. Errors come with HTTP 200. We choose the
message id, so the status can be asked for even when the reply was lost.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from services.dispatcher.channels.sms.gateway import THROTTLE_WAIT_S, Inquiry, incoming_text, price_in, segments_in
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.replies import Reply as WrittenReply
from services.dispatcher.domain.steps import Bill, Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind
from shared.web.http_client import Call, HttpClient, Reply

NAME = "smsc"
_ABOUT_MESSAGE = (7, 8)  # invalid number; cannot be delivered to this number
_ABOUT_US = (2, 3, 4)  # wrong password; no money; our IP address is blocked for a while
_REPEATED = 9  # the same request within a minute: the first one was accepted
_KINDS = {
    -2: ReceiptKind.UNDELIVERED,  # stopped
    -1: ReceiptKind.ACCEPTED,  # waits
    0: ReceiptKind.ACCEPTED,  # at the operator
    1: ReceiptKind.DELIVERED,
    2: ReceiptKind.DELIVERED,  # and read
    3: ReceiptKind.SOFT_BOUNCE,  # expired
    20: ReceiptKind.SOFT_BOUNCE,  # could not be delivered
    22: ReceiptKind.HARD_BOUNCE,  # no such number
    23: ReceiptKind.UNDELIVERED,  # forbidden
    24: ReceiptKind.UNDELIVERED,  # no money
    25: ReceiptKind.SOFT_BOUNCE,  # number out of reach
}
_NOT_FOUND = -3


@dataclass(frozen=True)
class Smsc:
    """Authenticates with `api_key`, or with `login` and `password`. Prices are in roubles."""

    http: HttpClient
    login: str = ""
    password: str = ""
    api_key: str = ""
    sender: str = ""
    name: str = NAME

    def call(self, message: OutgoingMessage) -> Call:
        sender = message.sender or self.sender
        form = {
            **self._credentials,
            "phones": message.recipient,
            "mes": message.body.decode(),
            "id": self.own_id(message),
            "charset": "utf-8",
            "fmt": "3",
            "cost": "3",
        }
        return Call("POST", "/sys/send.php", form=form | ({"sender": sender} if sender else {}))

    @property
    def _credentials(self) -> dict[str, str]:
        return {"apikey": self.api_key} if self.api_key else {"login": self.login, "psw": self.password}

    def own_id(self, message: OutgoingMessage) -> str:
        return own_id(Reference(message.invitation_id, message.step))

    def disposition(self, reply: Reply, _message: OutgoingMessage) -> Disposition:
        """Read a reply; after any error code except 9 the message was not accepted."""
        body = reply.json()
        code = body.get("error_code")
        if isinstance(code, int):
            if code == _REPEATED:
                return Disposition(SendResult.UNKNOWN, f"smsc_{code}")
            about_us = SendResult.UNAVAILABLE if code in _ABOUT_US else SendResult.NOT_ACCEPTED
            return Disposition(SendResult.REFUSED if code in _ABOUT_MESSAGE else about_us, f"smsc_{code}")
        if reply.status == HTTPStatus.OK and "id" in body:
            return Disposition(SendResult.SENT, bill=_bill(body))
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            return Disposition(SendResult.THROTTLED, "smsc_http_429", wait_s=THROTTLE_WAIT_S)
        away = reply.status == HTTPStatus.SERVICE_UNAVAILABLE or 400 <= reply.status < 500
        return Disposition(SendResult.UNAVAILABLE if away else SendResult.UNKNOWN, f"smsc_http_{reply.status}")

    def status_call(self, inquiry: Inquiry) -> Call:
        form = {**self._credentials, "phone": inquiry.phone, "id": own_id(inquiry.reference), "fmt": "3"}
        return Call("POST", "/sys/status.php", form=form)

    def read_status(self, reply: Reply, inquiry: Inquiry) -> Receipt | None:
        status = reply.json().get("status")
        if reply.status != HTTPStatus.OK or not isinstance(status, int):
            return None
        if status == _NOT_FOUND:
            return inquiry.never_seen(NAME)
        kind = _KINDS.get(status)
        key = f"{own_id(inquiry.reference)}:{status}"
        return Receipt(NAME, key, kind, ChannelKind.SMS, f"smsc_{status}", inquiry.reference) if kind else None


def own_id(reference: Reference) -> str:
    """Return our id of a message at SMSC, from 1 to 2147483647; it is unique together with the phone number."""
    digest = hashlib.sha256(str(reference).encode()).digest()
    return str(int.from_bytes(digest[:4]) % 2147483647 + 1)


def is_genuine(form: Mapping[str, str], secret: str) -> bool:
    """Check a callback's md5: of "id:phone:status:SECRET", or "phone:mes:to:SECRET" of an incoming message."""
    names = ("phone", "mes", "to") if "mes" in form else ("id", "phone", "status")
    signed = ":".join([*(form.get(name, "") for name in names), secret])
    expected = hashlib.md5(signed.encode(), usedforsecurity=False).hexdigest()
    return bool(secret) and hmac.compare_digest(expected.encode(), form.get("md5", "").lower().encode())


def reply_of_respondent(form: Mapping[str, str]) -> WrittenReply | None:
    """Parse an incoming message; None for a status."""
    if "mes" not in form:
        return None
    key = f"{form.get('id') or form.get('sms_id', '')}:{form.get('time', '')}"
    return incoming_text(NAME, key, sender=form.get("phone", ""), text=form["mes"])


def receipts(form: Mapping[str, str]) -> list[Receipt]:
    """Parse the callback of a status."""
    number, status = form.get("id", ""), form.get("status", "")
    kind = _KINDS.get(int(status)) if re.fullmatch("-?[0-9]{1,3}", status) else None
    if kind is None or not re.fullmatch("[0-9]{1,10}", number):
        return []
    return [Receipt(NAME, f"{number}:{status}", kind, ChannelKind.SMS, f"smsc_{status}", message_id=number)]


def _bill(body: Mapping[str, object]) -> Bill:
    cost = price_in(body.get("cost"))
    return Bill(segments_in(body.get("cnt")), cost, None if cost is None else "RUB")
