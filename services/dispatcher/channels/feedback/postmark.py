"""Postmark's webhooks. Source: https://postmarkapp.com/developer/webhooks/webhooks-overview.

Postmark does not sign its webhooks; their URL contains a user name and a password. They return our reference in
`Metadata`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.dispatcher.domain.bounces import read_refusal
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, reference_in
from shared.contract.vocabulary import ChannelKind

NAME = "postmark"
METADATA = "attempt"  # sent as the header X-PM-Metadata-attempt
_INACTIVE = "406"  # the API's error code for a recipient on Postmark's suppression list

# https://postmarkapp.com/developer/api/bounce-api#bounce-types; those that are not final are left out
_BOUNCES = {
    "HardBounce": ReceiptKind.HARD_BOUNCE,
    "BadEmailAddress": ReceiptKind.HARD_BOUNCE,
    "SoftBounce": ReceiptKind.SOFT_BOUNCE,
    "DnsError": ReceiptKind.SOFT_BOUNCE,
    "Unknown": ReceiptKind.SOFT_BOUNCE,
    "Blocked": ReceiptKind.UNDELIVERED,  # about our server or content, not the address
    "SpamNotification": ReceiptKind.UNDELIVERED,
    "VirusNotification": ReceiptKind.UNDELIVERED,
    "DMARCPolicy": ReceiptKind.UNDELIVERED,
    "TemplateRenderingFailed": ReceiptKind.UNDELIVERED,
    "SMTPApiError": ReceiptKind.UNDELIVERED,
    "ManuallyDeactivated": ReceiptKind.BLOCKED,
    "Unsubscribe": ReceiptKind.STOP,
    "SpamComplaint": ReceiptKind.COMPLAINT,
}
_NAMED_BY_SERVER = ("HardBounce", "SoftBounce", "Unknown")  # `Details` has the server's reply, which is more precise
_SUPPRESSED_FOR = {
    "HardBounce": ReceiptKind.HARD_BOUNCE,
    "SpamComplaint": ReceiptKind.COMPLAINT,
    "ManualSuppression": ReceiptKind.STOP,
}


def receipts(body: Mapping[str, Any]) -> list[Receipt]:
    """Parse one event; no receipts for an event without our reference."""
    kind, reason, key = _read(body)
    metadata = body.get("Metadata")
    reference = reference_in(str(metadata.get(METADATA))) if isinstance(metadata, dict) else None
    if kind is None or reference is None:
        return []
    return [Receipt(NAME, key, kind, ChannelKind.EMAIL, reason, reference)]


def _read(body: Mapping[str, Any]) -> tuple[ReceiptKind | None, str, str]:
    """Return kind, reason and the key that identifies the event."""
    record, message = body.get("RecordType"), str(body.get("MessageID"))[:100]
    match record:
        case "Delivery":
            return ReceiptKind.DELIVERED, "postmark_delivery", f"{message}:delivery"
        case "SpamComplaint":
            return ReceiptKind.COMPLAINT, "postmark_spam_complaint", f"{message}:complaint"
        case "SubscriptionChange" if body.get("SuppressSending") is True:
            reason = str(body.get("SuppressionReason"))
            return _SUPPRESSED_FOR.get(reason), f"postmark_{reason}"[:60], f"{message}:change:{reason}"[:200]
        case "Bounce":
            type_ = str(body.get("Type"))
            return _bounce_kind(type_, body), f"postmark_{type_}"[:60], f"{message}:bounce:{type_}"[:200]
        case _:
            return None, "", ""


def _bounce_kind(type_: str, body: Mapping[str, Any]) -> ReceiptKind | None:
    is_inactive = type_ == "SMTPApiError" and _INACTIVE in str(body.get("Details"))
    kind = ReceiptKind.BLOCKED if is_inactive else _BOUNCES.get(type_)
    if kind is None or type_ not in _NAMED_BY_SERVER:
        return kind
    return read_refusal(text=str(body.get("Details", ""))).bounce_unless_unclear(kind)
