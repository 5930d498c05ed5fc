"""Callbacks as each provider signs them: valid, damaged before signing, or damaged after."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from services.dispatcher.channels.sms import twilio
from tests.corpora import STRANGE, changed, damaged, written
from tests.integration.dispatcher.webhooks.test_webhooks import (
    PUBLIC,
    SECRET,
    bounce,
    notification,
    of_postmark,
    of_smsc,
)


@dataclass(frozen=True)
class SignedCallback:
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


FORM = {"content-type": "application/x-www-form-urlencoded"}
BASIC = {"authorization": "Basic " + base64.b64encode(b"postmark:pass").decode()}

# callbacks of other providers, as an unknown gateway may post them, or to the wrong webhook
OTHERS: tuple[Any, ...] = (
    {
        "message_uuid": "aaaaaaaa-bbbb",
        "to": "447700900000",
        "status": "delivered",
        "usage": {"price": "0.0333"},
    },  # Vonage
    {
        "msisdn": "447700900000",
        "messageId": "0A",
        "status": "failed",
        "err-code": "1",
        "price": "0.03",
    },  # Vonage, older
    {"id": 1, "number": "79161234567", "status": 1, "extendStatus": "delivery", "cost": 1.95},  # SMS Aero
    [
        {"event": "bounce", "email": "a@b.test", "sg_event_id": "x", "reason": "550", "timestamp": 1772452800}
    ],  # SendGrid
    {
        "signature": {"token": "t", "timestamp": "1"},
        "event-data": {"event": "failed", "severity": "permanent"},
    },  # Mailgun
    {
        "auth": "md5",
        "events_by_user": [{"user_id": 1, "Events": [{"event_data": {"status": "hard_bounced"}}]}],
    },  # Unisender
)


def of_twilio(reference: str, chance: random.Random | None) -> SignedCallback:
    form = {"MessageSid": f"SM{reference}", "MessageStatus": "delivered", "To": "+15550001", "ErrorCode": ""}
    if chance:
        form = chance.choice((form, {"MessageSid": "SM9", "From": "+15550001", "Body": "STOP"}))
        form = {name: _strange(chance) if chance.random() < 0.3 else value for name, value in form.items()}
    path = f"/hooks/twilio?{urlencode({'ref': reference})}"
    body = _form(form, chance)
    fields = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    return SignedCallback(path, body, {**FORM, "x-twilio-signature": twilio.signature(SECRET, PUBLIC + path, fields)})


def of_smsc_(reference: str, chance: random.Random | None) -> SignedCallback:
    number = str(int(hashlib.sha256(reference.encode()).hexdigest()[:7], 16))
    form, names = {"id": number, "phone": "79161234567", "status": "1", "time": "1"}, ("id", "phone", "status")
    if chance:
        form = {name: _strange(chance) if chance.random() < 0.4 else value for name, value in form.items()}
        if chance.random() < 0.3:
            form, names = {**form, "mes": chance.choice(("стоп", _strange(chance))), "to": "7"}, ("phone", "mes", "to")
    return SignedCallback("/hooks/smsc", _form(of_smsc(*names, **form), chance), FORM)


def of_gateway(reference: str, chance: random.Random | None) -> SignedCallback:
    """A batch with one valid item among others."""
    good = {"dlr": {"status": "DELIVRD", "ref": reference}}
    if chance is None:
        others: list[Any] = [{"dlr": {"status": "DELIVRD"}, "from": "\ud800", "text": "stop"}, None, [], {"dlr": 7}]
        body = json.dumps([*others, good, *others]).encode()
    else:
        base = chance.choice((good, {"from": "79161234567", "text": "stop"}, *OTHERS))
        body = written(chance.choice(([changed(base, chance), base], changed(base, chance))), chance)
    return SignedCallback(
        "/hooks/generic", body, {"x-signature": hmac.new(b"shared", body, hashlib.sha256).hexdigest()}
    )


def of_postmark_(reference: str, chance: random.Random | None) -> SignedCallback:
    event = {**of_postmark("Delivery"), "MessageID": reference, "Metadata": {"attempt": reference}}
    if chance:
        records = (of_postmark("Bounce", Type="HardBounce"), of_postmark("SubscriptionChange", SuppressSending=True))
        event = changed(chance.choice((event, *records, *OTHERS)), chance)
    return SignedCallback("/hooks/postmark", written(event, chance) if chance else json.dumps(event).encode(), BASIC)


def of_ses(reference: str, chance: random.Random | None) -> SignedCallback:
    event: Any = {**bounce("Permanent"), "mail": {"headers": [{"name": "Message-ID", "value": f"<{reference}@x>"}]}}
    if chance is None:
        return SignedCallback("/hooks/ses", json.dumps(notification(event, MessageId=reference)).encode())
    if chance.random() < 0.7:
        return SignedCallback(
            "/hooks/ses", json.dumps(notification(changed(event, chance), MessageId=reference)).encode()
        )
    return SignedCallback("/hooks/ses", written(changed(notification(event, MessageId=reference), chance), chance))


def of_bitrix24(_reference: str, chance: random.Random | None) -> SignedCallback:
    form = {"event": "ONTASKUPDATE", "data[FIELDS_AFTER][ID]": "7", "auth[application_token]": "crm"}
    if chance:
        form["data[FIELDS_AFTER][ID]"] = _strange(chance)
    return SignedCallback("/hooks/bitrix24", _form(form, chance), FORM)


PROVIDERS: Mapping[str, Callable[[str, random.Random | None], SignedCallback]] = {
    "twilio": of_twilio,
    "smsc": of_smsc_,
    "gateway": of_gateway,
    "postmark": of_postmark_,
    "ses": of_ses,
    "bitrix24": of_bitrix24,
}


def broken(reference: str, chance: random.Random) -> SignedCallback:
    """Make a callback and damage its content, its body or its headers."""
    made = chance.choice(list(PROVIDERS.values()))(reference, chance)
    if chance.random() < 0.1:
        return SignedCallback(made.path, damaged(made.body, chance), made.headers)
    if chance.random() < 0.1:
        headers = {
            name: chance.choice(("", "Basic", "Basic ====", "sha256=", "é", "%", "x" * 3000)) for name in made.headers
        }
        return SignedCallback(made.path, made.body, headers)
    if chance.random() < 0.05:
        return SignedCallback(
            f"{made.path.partition('?')[0]}?{quote(_strange(chance)[:300], errors='replace')}", made.body
        )
    return made


def _strange(chance: random.Random) -> str:
    return str(chance.choice(STRANGE)).encode(errors="replace").decode()


def _form(form: Mapping[str, str], chance: random.Random | None) -> bytes:
    body = urlencode(form).encode()
    return damaged(body, chance) if chance and chance.random() < 0.2 else body
