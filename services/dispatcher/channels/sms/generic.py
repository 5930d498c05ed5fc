"""Any other SMS gateway with an HTTP interface, described by EARSHOT_SMS_GATEWAY, a JSON object.

`docs/providers/generic-sms.md` explains every key. Placeholders are `{to}`, `{text}`, `{sender}` and `{reference}`; a
path into a reply is written `messages.0.status`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
from services.dispatcher.domain.steps import Bill, Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.isolated import isolated
from shared.web.http_client import Call, HttpClient, Reply

NAME = "generic"
_AWAY = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.PAYMENT_REQUIRED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
# 303: see the result elsewhere; 408: it arrived late, but it arrived; 409: the same message is there already
_MAY_BE_ACCEPTED = (HTTPStatus.SEE_OTHER, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT)
_PREFIX, _HEX = re.compile("(?i)^sha256="), re.compile("[0-9a-fA-F]{64}")
_PLACEHOLDER = re.compile(r"\{(to|text|sender|reference)\}")
Codes = Annotated[tuple[str, ...], Field(max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReplyDescription(_Frozen):
    """Paths to the values in a reply, and the meaning of its error codes; after other codes the message is retried."""

    message_id: str = ""
    error: str = ""  # a code here that is not in `no_error`: not accepted, whatever the HTTP status
    no_error: Codes = ("", "0", "None", "False", "ok", "OK")
    refused: Codes = ()  # about this number or text: never try again
    unknown: Codes = ()  # it may have been accepted
    away: Codes = ()  # about our account, or the gateway is down
    too_fast: Codes = ()  # rate limit
    segments: str = ""
    cost: str = ""
    currency: str = ""


class CallbackDescription(_Frozen):
    """Paths to the values in a receipt that the gateway posts, and the kind of receipt for each status."""

    signature_header: str = "x-signature"
    reference: str = ""
    message_id: str = ""
    status: str = "status"
    kinds: Mapping[str, ReceiptKind] = {}
    sender: str = ""  # in an incoming message: the phone number
    text: str = ""


class GatewayDescription(_Frozen):
    url: str
    method: Literal["POST", "PUT", "GET"] = "POST"
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    body: Any = None  # JSON, with placeholders in its strings
    sender: str = ""
    plus: bool = True  # whether numbers begin with a plus
    reply: ReplyDescription = ReplyDescription()
    callback: CallbackDescription = CallbackDescription()


@dataclass(frozen=True)
class GenericGateway:
    http: HttpClient
    description: GatewayDescription
    name: str = NAME

    def call(self, message: OutgoingMessage) -> Call:
        description = self.description
        values = {
            "to": message.recipient if description.plus else message.recipient.lstrip("+"),
            "text": message.body.decode(),
            "sender": message.sender or description.sender,
            "reference": str(Reference(message.invitation_id, message.step)),
        }
        return Call(
            description.method,
            description.url,
            query=_filled(description.query, values),
            form=_filled(description.form, values),
            json=_filled(description.body, values),
            headers=description.headers,
        )

    def own_id(self, _message: OutgoingMessage) -> None:
        return None

    def disposition(self, reply: Reply, _message: OutgoingMessage) -> Disposition:
        """Read a reply by the description; if it contains no error code, the HTTP status decides."""
        body, where = _parsed(reply.body), self.description.reply
        code = _text_at(body, where.error)
        if code is not None and code not in where.no_error:
            return _not_sent(self._result_of_code(code), _reason(code))
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return Disposition(
                SendResult.SENT, message_id=printable(_text_at(body, where.message_id)), bill=_bill(body, where)
            )
        return _not_sent(_result_of_status(reply.status), f"generic_http_{reply.status}")

    def _result_of_code(self, code: str) -> SendResult:
        where = self.description.reply
        meanings = {
            SendResult.REFUSED: where.refused,
            SendResult.UNKNOWN: where.unknown,
            SendResult.UNAVAILABLE: where.away,
            SendResult.THROTTLED: where.too_fast,
        }
        return next((result for result, codes in meanings.items() if code in codes), SendResult.NOT_ACCEPTED)

    def status_call(self, _inquiry: Inquiry) -> None:
        return None

    def read_status(self, _reply: Reply, _inquiry: Inquiry) -> None:
        return None


def _not_sent(result: SendResult, reason: str) -> Disposition:
    return Disposition(result, reason, wait_s=THROTTLE_WAIT_S if result is SendResult.THROTTLED else 0.0)


def _result_of_status(status: int) -> SendResult:
    """Return what an HTTP status other than 2xx means; after some the message may have been accepted."""
    if status in _AWAY:
        return SendResult.UNAVAILABLE
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SendResult.THROTTLED
    open_ended = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _MAY_BE_ACCEPTED
    return SendResult.UNKNOWN if open_ended else SendResult.NOT_ACCEPTED


def is_genuine(body: bytes, given: str, secret: str) -> bool:
    """Check the signature of a receipt: HMAC-SHA256 over its raw body, with or without `sha256=` before it.

    It is hexadecimal in upper or lower case, or base64, where case counts.
    """
    expected, signature = hmac.digest(secret.encode(), body, hashlib.sha256), _PREFIX.sub("", given)
    is_hex = _HEX.fullmatch(signature)
    genuine = expected.hex() if is_hex else base64.b64encode(expected).decode()
    return bool(secret) and hmac.compare_digest(genuine.encode(), (signature.lower() if is_hex else signature).encode())


def receipts(body: bytes, where: CallbackDescription) -> list[Receipt | WrittenReply]:
    """Parse one or a list of receipts and incoming messages; raises ValueError or RecursionError if it is not JSON."""
    given = json.loads(body)
    entries: Sequence[Any] = given if isinstance(given, list) else [given]
    found = []
    for number, entry in enumerate(entries[:1000]):
        with isolated("callback", service=Service.DISPATCHER, provider=NAME, number=number):
            found.append(_receipt(entry, where))
    return [receipt for receipt in found if receipt is not None]


def _receipt(entry: Any, where: CallbackDescription) -> Receipt | WrittenReply | None:
    sender, text = _text_at(entry, where.sender), _text_at(entry, where.text)
    key = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    if sender and text:
        return incoming_text(NAME, key, sender=sender, text=text)
    status = _text_at(entry, where.status) or ""
    kind = where.kinds.get(status)
    if kind is None:
        return None
    reference = reference_in(_text_at(entry, where.reference) or "")
    message_id = printable(_text_at(entry, where.message_id))
    return Receipt(NAME, key, kind, ChannelKind.SMS, _reason(status), reference, message_id)


def _reason(code: str) -> str:
    return "generic_" + (re.sub(r"[^A-Za-z0-9._-]", "", code)[:30] or "error")


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    if isinstance(template, Mapping):
        return {name: _filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    return template


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text_at(found: Any, path: str) -> str | None:
    """Return the value at a path such as `messages.0.status` as text; None if there is no single value."""
    if not path:
        return None
    for part in path.split("."):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict) and part in found:
            found = found[part]
        else:
            return None
    return None if isinstance(found, dict | list) else str(found)


def _bill(body: Any, where: ReplyDescription) -> Bill | None:
    segments, price = _text_at(body, where.segments), price_in(_text_at(body, where.cost))
    if segments is None and price is None:
        return None
    return Bill(segments_in(segments), price, where.currency or None if price is not None else None)
