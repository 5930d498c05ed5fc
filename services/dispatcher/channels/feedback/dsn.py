"""Reports about a mail of ours: bounces (RFC 3464, and the texts of servers that do not follow it) and complaints.

Status codes are RFC 3463's; complaints come in the format of RFC 5965.
"""

from __future__ import annotations

import hashlib
import re
from email.message import Message

from services.dispatcher.channels.feedback import mime_parts
from services.dispatcher.channels.feedback.mime_parts import TooLongParameters, TooManyParts
from services.dispatcher.domain.bounces import Refusal, read_refusal
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from shared.contract.vocabulary import ChannelKind

__all__ = ["NAME", "TooLongParameters", "TooManyParts", "from_mail", "is_report", "receipts"]

NAME = "dsn"
_MOST_RECIPIENTS = 100
_DAEMON = re.compile(
    r"mailer-daemon|postmaster|mail delivery|maildelivery|mail ?daemon|bounce[sd]?@|no-?reply.*bounce", re.IGNORECASE
)
_FAILED = re.compile(
    r"undeliver|(?:could|was|can|has|have) ?n[o'\u2019]?t (?:be |been |able to )?deliver"
    r"|delivery (?:has )?(?:status notification \(failure\)"
    r"|failed|failure|incomplete|to the following)|returned (?:mail|to sender|message)|failure notice"
    r"|permanent (?:fatal )?(?:error|failure)"
    r"|fail(?:ed|ure) (?:to deliver|delivery)|unable to deliver|not able to deliver|wasn't able to deliver"
    r"|rejected your message"
    r"|недоставленное|не (?:может быть |было |был |удалось )?достав|unzustellbar|nicht zugestellt|non (?:remis"
    r"|distribu)"
    r"|no se (?:pudo|ha podido) entregar|niedostarczon|não (?:foi |pôde ser )?entreg|mancato recapito",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"\bdelay|will (?:continue|keep|be retried)|still (?:trying|being)|not yet been delivered|do not need to resend"
    r"|warning|повторн|задерж|verzöger|retard[ée]|incomplete|temporarily delayed",
    re.IGNORECASE,
)


def receipts(mail: bytes) -> list[Receipt]:
    """Parse a report; no receipts for a mail that is not a report (an auto-reply), or not about a mail of ours.

    Raises TooManyParts, TooLongParameters, and for a damaged mail whatever Python's mail parser raises.
    """
    return from_mail(mime_parts.parsed(mail), mail)


def from_mail(report: Message, raw: bytes) -> list[Receipt]:
    """Parse a report that is parsed as a mail already."""
    reference = mime_parts.reference_of(report) if is_report(report) else None
    if reference is None:
        return []
    key = f"{str(report.get('Message-ID') or hashlib.sha256(raw).hexdigest())[:150]}"
    if _is_complaint(report):
        return [_receipt(f"{key}:complaint", ReceiptKind.COMPLAINT, "arf", reference)]
    blocks = _recipients(report)
    found = [_of_block(block) for block in blocks[:_MOST_RECIPIENTS]] if blocks else [_of_text(report)]
    return [
        _receipt(f"{key}:{number}", kind, f"dsn_{status}", reference)
        for number, (kind, status) in enumerate(found)
        if kind is not None
    ]


def is_report(mail: Message) -> bool:
    """Say whether a mail was made by a mail server about another mail; a person did not write it."""
    if mail.get_content_type() == "multipart/report":
        return True
    sender = f"{mail.get('From', '')} {mail.get('Return-Path', '')}"
    is_returned = str(mail.get("Return-Path", "")).strip() == "<>" and "X-Failed-Recipients" in mail
    return is_returned or bool(_DAEMON.search(sender))


def _receipt(key: str, kind: ReceiptKind, reason: str, reference: Reference) -> Receipt:
    return Receipt(NAME, key, kind, ChannelKind.EMAIL, reason, reference)


def _is_complaint(report: Message) -> bool:
    part = next((each for each in report.walk() if each.get_content_type() == "message/feedback-report"), None)
    if part is None:
        return False
    feedback = re.search(r"feedback-type\s*:\s*([\w-]+)", mime_parts.raw_text(part), re.IGNORECASE)
    return feedback is not None and feedback[1].lower() == "abuse"


def _recipients(report: Message) -> list[Message]:
    """Return the blocks of the status part that are about a recipient; its first block is about the whole mail."""
    types = ("message/delivery-status", "message/global-delivery-status")
    status = next((part for part in report.walk() if part.get_content_type() in types), None)
    blocks = mime_parts.blocks(status) if status is not None else []
    return [block for block in blocks if "Action" in block or "Final-Recipient" in block]


def _of_block(block: Message) -> tuple[ReceiptKind | None, str]:
    """Return the kind and the code of a block; no kind for `delayed`, `relayed` and `expanded`, which are not final."""
    diagnostic = " ".join(str(block.get("Diagnostic-Code", "")).split())
    refusal = read_refusal(status=str(block.get("Status", "")), text=diagnostic)
    action = str(block.get("Action", "failed")).strip().lower().partition(" ")[0].rstrip(";,")
    if action == "delivered":
        return ReceiptKind.DELIVERED, _code(refusal)
    return (refusal.bounce if action == "failed" else None), _code(refusal)


def _of_text(report: Message) -> tuple[ReceiptKind | None, str]:
    """Read a report without a status part, such as qmail's; no kind unless it says that the delivery failed."""
    text = mime_parts.raw_text(mime_parts.first_text(report)).partition("\n--- Below this line is a copy")[0]
    text = " ".join(text.split())
    subject = mime_parts.header_text(report, "Subject")
    has_failed = bool("X-Failed-Recipients" in report or _FAILED.search(f"{subject} {text}"))
    is_read_receipt = report.get_param("report-type") == "disposition-notification"
    if is_read_receipt or not has_failed or _DELAYED.search(f"{subject} {text[:1000]}"):
        return None, ""
    refusal = read_refusal(text=text)
    return refusal.bounce, _code(refusal)


def _code(refusal: Refusal) -> str:
    return refusal.status or "unknown"
