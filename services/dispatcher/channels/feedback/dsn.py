"""Delivery status notifications (bounces), RFC 3464 and 3462; status codes are RFC 3463's."""

from __future__ import annotations

import hashlib
import re
from email import message_from_bytes
from email.message import Message

from services.dispatcher.domain.receipts import NO_SUCH_ADDRESS, Receipt, ReceiptKind, Reference, reference_in
from shared.contract.vocabulary import ChannelKind

NAME = "dsn"
_MOST_PARTS = 200
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_CONTENT_TYPE = re.compile(rb"content-type\s*:", re.IGNORECASE)
_LONG_PARAMETERS = re.compile(  # of a header with its continuation lines: Python takes quadratic time for quotes
    rb"content-(?:type|disposition)\s*:(?:[^\r\n]|(?:\r\n|\r|\n)[ \t]){2000}", re.IGNORECASE
)
_ABOUT_US = ("5.3.4", "5.6", "5.7")  # size, content, policy: not about the mailbox


class TooManyParts(ValueError):
    """More MIME parts than any report has; Python's parser recurses into each nested part."""


class TooLongParameters(ValueError):
    """A Content-Type that is longer than any report has."""


def receipts(mail: bytes) -> list[Receipt]:
    """Parse a report; no receipts for a mail that is not a report (an auto-reply), or not about a mail of ours.

    Raises TooManyParts, TooLongParameters, and for a damaged mail whatever Python's mail parser raises.
    """
    if len(_CONTENT_TYPE.findall(mail)) > _MOST_PARTS:
        raise TooManyParts
    if _LONG_PARAMETERS.search(mail):
        raise TooLongParameters
    report = message_from_bytes(mail)
    reference = _reference(report)
    if not _is_report(report) or reference is None:
        return []
    key = report.get("Message-ID") or hashlib.sha256(mail).hexdigest()
    return [
        Receipt(NAME, f"{str(key)[:150]}:{number}", kind, ChannelKind.EMAIL, f"dsn_{status}", reference)
        for number, block in enumerate(_recipients(report)[:100])
        if (kind := _kind(block, status := _status(block))) is not None
    ]


def _is_report(mail: Message) -> bool:
    return mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "delivery-status"


def _recipients(report: Message) -> list[Message]:
    """Return the blocks of the status part that are about a recipient; its first block is about the whole mail."""
    status = next((part for part in report.walk() if part.get_content_type() == "message/delivery-status"), None)
    blocks = status.get_payload() if status is not None else []
    return [block for block in blocks if isinstance(block, Message) and "Action" in block]


def _status(block: Message) -> str:
    match = _STATUS.search(str(block.get("Status", ""))) or _STATUS.search(str(block.get("Diagnostic-Code", "")))
    return match[1] if match else "unknown"


def _kind(block: Message, status: str) -> ReceiptKind | None:
    """Return the kind of a recipient's status; None for `delayed`, `relayed` and `expanded`, which are not final."""
    action = str(block["Action"]).strip().lower()
    if action == "delivered":
        return ReceiptKind.DELIVERED
    if action != "failed":
        return None
    if status in NO_SUCH_ADDRESS:
        return ReceiptKind.HARD_BOUNCE
    about_us = any(status == code or status.startswith(f"{code}.") for code in _ABOUT_US)
    return ReceiptKind.UNDELIVERED if about_us else ReceiptKind.SOFT_BOUNCE


def _reference(report: Message) -> Reference | None:
    """Find our Message-ID in the returned mail or its headers, else in the headers that refer to it."""
    parts = list(report.walk())
    returned = [part for part in parts if part.get_content_type() in ("message/rfc822", "text/rfc822-headers")]
    for part in returned:
        payload = part.get_payload()
        original = payload[0] if isinstance(payload, list) and payload else payload
        text = str(original.get("Message-ID")) if isinstance(original, Message) else _message_id_line(part)
        if reference := reference_in(text):
            return reference
    status = (part for part in parts if "Original-Envelope-Id" in part)
    named = [report.get("In-Reply-To"), report.get("References"), *(part["Original-Envelope-Id"] for part in status)]
    return next((found for name in named if name and (found := reference_in(str(name)))), None)


def _message_id_line(part: Message) -> str:
    raw = part.get_payload(decode=True)
    headers = message_from_bytes(raw if isinstance(raw, bytes) else b"")
    return str(headers.get("Message-ID"))
