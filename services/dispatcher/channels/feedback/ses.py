"""Notifications of Amazon SES, delivered by Amazon SNS.

Sources: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html and
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html. Notifications must include the original
headers: the Message-ID in them identifies the mail.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from services.dispatcher.domain.bounces import read_refusal
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference, reference_in
from shared.contract.vocabulary import ChannelKind, address_fingerprint
from shared.database.isolated import storable

NAME = "ses"
_MOST = 100  # recipients, or headers, of a notification
_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]\.amazonaws\.com(?:\.cn)?")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: dict[str, HashAlgorithm] = {
    "1": SHA1(),  # noqa: S303 - the default of SNS topics
    "2": SHA256(),
}
# a Transient bounce is final too, as SES stops trying; these subtypes are about the mail, not about the mailbox
_ABOUT_CONTENT = ("MessageTooLarge", "ContentRejected", "AttachmentRejected")


class NotFromSns(ValueError):
    """The message, its certificate or its topic is not genuine; the text names which."""


def is_sns_address(url: str) -> bool:
    """Whether a URL has a host of SNS; a forged message may contain other URLs, which must not be fetched."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as https://[
        return False
    return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None


def certificate_address(message: Mapping[str, Any]) -> str:
    """Return the URL of the signing certificate; raises NotFromSns."""
    url = str(message.get("SigningCertURL"))
    if not is_sns_address(url) or not urlsplit(url).path.endswith(".pem"):
        raise NotFromSns("certificate")
    return url


def verify(message: Mapping[str, Any], certificate: bytes, *, at: datetime) -> None:
    """Check an SNS message's signature with the certificate from `certificate_address`; raises NotFromSns."""
    names = _NOTIFICATION if message.get("Type") == "Notification" else _CONFIRMATION
    signed = "".join(f"{name}\n{message[name]}\n" for name in names if isinstance(message.get(name), str))
    algorithm = _HASHES.get(str(message.get("SignatureVersion")))
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
        key, signature = loaded.public_key(), base64.b64decode(str(message.get("Signature")), validate=True)
        if algorithm is None or not isinstance(key, RSAPublicKey):
            raise NotFromSns("version")
        key.verify(signature, signed.encode(), PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise NotFromSns("signature") from error
    if not loaded.not_valid_before_utc <= at <= loaded.not_valid_after_utc:
        raise NotFromSns("expired certificate")


def sent_at(message: Mapping[str, Any]) -> datetime:
    """Return the message's timestamp, in UTC; raises NotFromSns."""
    try:
        return datetime.fromisoformat(str(message.get("Timestamp"))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise NotFromSns("timestamp") from error


def receipts(message: Mapping[str, Any]) -> list[Receipt]:
    """Parse a verified notification: one receipt per recipient."""
    try:
        event = json.loads(str(message.get("Message")))
    except (ValueError, RecursionError):
        return []
    if not isinstance(event, dict):
        return []
    reference = _reference(event.get("mail"))
    if reference is None:
        return []
    id_ = str(message.get("MessageId"))[:100]
    by_key = {f"{id_}:{address_fingerprint(each.recipient).hex()[:16]}": each for each in reversed(_read(event))}
    return [
        Receipt(NAME, key, each.kind, ChannelKind.EMAIL, each.reason, reference)
        for key, each in reversed(by_key.items())
    ]


class _Reported(NamedTuple):
    kind: ReceiptKind
    reason: str
    recipient: str


def _read(event: Mapping[str, Any]) -> list[_Reported]:
    """Return what is reported of each recipient."""
    match event.get("notificationType") or event.get("eventType"):
        case "Delivery":
            recipients = _list(event.get("delivery"), "recipients")
            return [_Reported(ReceiptKind.DELIVERED, "ses_delivery", _address(each)) for each in recipients]
        case "Complaint":
            recipients = _list(event.get("complaint"), "complainedRecipients")
            return [_Reported(ReceiptKind.COMPLAINT, "ses_complaint", _address(each)) for each in recipients]
        case "Bounce":
            bounce = event.get("bounce")
            recipients = _list(bounce, "bouncedRecipients")
            return [_bounced(bounce, each) for each in recipients] if isinstance(bounce, dict) else []
        case _:
            return []


def _bounced(bounce: Mapping[str, Any], recipient: Any) -> _Reported:
    """Read a bounce: the server's codes and text are more precise than a general type of SES."""
    kind, reason = _bounce(bounce)
    is_general = bounce.get("bounceSubType") in ("General", "Undetermined", None)
    if is_general and isinstance(recipient, dict) and recipient.get("diagnosticCode"):
        refusal = read_refusal(status=str(recipient.get("status", "")), text=str(recipient["diagnosticCode"]))
        kind = refusal.bounce_unless_unclear(kind)
    return _Reported(kind, reason, _address(recipient))


def _bounce(bounce: Mapping[str, Any]) -> tuple[ReceiptKind, str]:
    type_, subtype = str(bounce.get("bounceType")), str(bounce.get("bounceSubType"))
    reason = f"ses_{type_}_{subtype}"[:60]
    if type_ == "Permanent":
        on_list = subtype in ("Suppressed", "OnAccountSuppressionList", "OnSuppressionList")
        return ReceiptKind.BLOCKED if on_list else ReceiptKind.HARD_BOUNCE, reason
    return ReceiptKind.UNDELIVERED if subtype in _ABOUT_CONTENT else ReceiptKind.SOFT_BOUNCE, reason


def _reference(mail: Any) -> Reference | None:
    for header in _list(mail, "headers"):
        if isinstance(header, dict) and str(header.get("name")).lower() == "message-id":
            return reference_in(str(header.get("value")))
    return None


def _list(found: Any, name: str) -> list[Any]:
    listed = found.get(name) if isinstance(found, dict) else None
    return listed[:_MOST] if isinstance(listed, list) else []


def _address(recipient: Any) -> str:
    return storable(str(recipient.get("emailAddress") if isinstance(recipient, dict) else recipient))
