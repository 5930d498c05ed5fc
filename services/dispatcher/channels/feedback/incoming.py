"""What arrives in the mailbox of our mails: reports of mail servers, automatic replies, and what people write."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from typing import NamedTuple

from services.dispatcher.channels.feedback import dsn, mime_parts
from services.dispatcher.channels.feedback.quoting import own_words
from services.dispatcher.domain.receipts import Receipt, ReceiptKind
from services.dispatcher.domain.replies import Reply, read_reply
from services.dispatcher.domain.unsubscribe_mails import unsubscribed_by
from shared.contract.vocabulary import ChannelKind

NAME = "imap"
_MOST_TEXT, _MOST_SUBJECT = 10_000, 300
_ADDRESS = re.compile(r"[^\s@<>\"',;:\\]{1,64}@[^\s@<>\"',;:\\]{1,190}")
_AUTOMATIC_HEADERS = (
    "X-Autoreply",
    "X-Autorespond",
    "X-AutoReply-From",
    "X-Mail-Autoreply",
    "X-Auto-Response-Suppress",
    "X-Boxbe-Version",
    "X-Spamarrest-Noteid",
    "Feedback-Type",
    "List-Id",
)
_AUTOMATIC_PRECEDENCE = ("auto_reply", "bulk", "junk", "list")
_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:auto(?:matic|mated)?[\s-]*(?:reply|response|answer)|auto:"
    r"|out of (?:the )?office|ooo:|on vacation|vacation reply"
    r"|автоответ|автоматическ\w+ ответ|автовідповідь|автоматична відповідь|вне офиса|автожауап"
    r"|automatische (?:antwort|abwesenheit)|abwesenheits|autom\. antwort|r[eé]ponse automatique"
    r"|absence du bureau|message d'absence"
    r"|respuesta autom[aá]tica|fuera de (?:la )?oficina|risposta automatica|fuori ufficio|resposta autom[aá]tica"
    r"|odpowied[zź] automatyczna|automatyczna odpowied[zź]|otomatik (?:yan[ıi]t|cevap)|autosvar|automatisch antwoord"  # noqa: RUF001
    r"|please confirm your (?:message|e-?mail)|(?:read|return receipt|прочитано|gelesen|lu|le[ií]do)\s?:)",
    re.IGNORECASE,
)


class IncomingMail(NamedTuple):
    """The receipts in a mail, and the reply if a person wrote it; neither of an automatic reply."""

    receipts: list[Receipt]
    reply: Reply | None = None


def read(content: bytes) -> IncomingMail:
    """Read a mail; raises TooManyParts, TooLongParameters, and for a damaged mail whatever Python's parser raises."""
    mail = mime_parts.parsed(content)
    if dsn.is_report(mail):
        return IncomingMail(dsn.from_mail(mail, content))
    unsubscribed = unsubscribed_by(mime_parts.header_text(mail, "Subject"), provider=NAME)
    if unsubscribed is not None:
        return IncomingMail([unsubscribed])
    if _is_automatic(mail):
        return IncomingMail([])
    reply = _reply(mail, content)
    return IncomingMail([reply.receipt] if reply.asks is ReceiptKind.STOP and reply.reference else [], reply)


def _is_automatic(mail: Message) -> bool:
    submitted = str(mail.get("Auto-Submitted", "no")).strip().lower()
    precedence = str(mail.get("Precedence", "")).strip().lower()
    is_unrelated_spam = str(mail.get("X-Spam-Flag", "")).strip().upper() == "YES" and not mime_parts.reference_of(mail)
    return (
        not submitted.startswith("no")
        or precedence in _AUTOMATIC_PRECEDENCE
        or any(name in mail for name in _AUTOMATIC_HEADERS)
        or str(mail.get("Return-Path", "")).strip() == "<>"
        or bool(_AUTOMATIC_SUBJECT.match(mime_parts.header_text(mail, "Subject")))
        or is_unrelated_spam
    )


def _reply(mail: Message, content: bytes) -> Reply:
    subject = mime_parts.header_text(mail, "Subject")[:_MOST_SUBJECT]
    text = own_words(mime_parts.readable_text(mail)[:_MOST_TEXT])
    is_new = not re.match(r"\s*\w{1,4}(?:\[\d+\])?\s?:", subject)  # no Re: whose rest is ours
    asks = read_reply(text) or (read_reply(subject) if is_new else None)
    return Reply(
        provider=NAME,
        key=str(mail.get("Message-ID") or hashlib.sha256(content).hexdigest())[:200],
        channel=ChannelKind.EMAIL,
        sender=_sender(mail),
        subject=subject,
        text=text,
        asks=ReceiptKind.STOP if asks is ReceiptKind.STOP else None,  # a mail that says yes agrees to something else
        reference=mime_parts.reference_of(mail),
        at=_sent_at(mail),
    )


def _sender(mail: Message) -> str:
    """Return the address an answer goes to, in lower case; empty when it is none."""
    for name in ("Reply-To", "From"):
        address = parseaddr(mime_parts.header_text(mail, name))[1].lower()
        if _ADDRESS.fullmatch(address):
            return address
    return ""


def _sent_at(mail: Message) -> datetime:
    """Return when the mail was sent; now, if it does not say so or claims a time to come."""
    now = datetime.now(UTC)
    try:
        sent = parsedate_to_datetime(str(mail.get("Date")))
    except (ValueError, TypeError, IndexError, OverflowError):
        return now
    return min(now, sent if sent.tzinfo else sent.replace(tzinfo=UTC))
