"""Parts of a received mail: its texts in any charset, and our reference in it. Nothing here trusts the mail."""

from __future__ import annotations

import base64
import binascii
import re
from email import message_from_bytes, message_from_string
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from html import unescape

from services.dispatcher.domain.receipts import Reference, reference_in

_MOST_PARTS = 200
_MOST_TEXT = 100_000
_CONTENT_TYPE = re.compile(rb"content-type\s*:", re.IGNORECASE)
_LONG_PARAMETERS = re.compile(  # of a header with its continuation lines: Python takes quadratic time for quotes
    rb"content-(?:type|disposition)\s*:(?:[^\r\n]|(?:\r\n|\r|\n)[ \t]){2000}", re.IGNORECASE
)
_RETURNED = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_REFERRING = ("In-Reply-To", "References", "Original-Envelope-Id", "X-Original-Message-Id", "Thread-Index-Reference")
_OWN = ("Message-ID", "X-PM-Metadata-attempt", "X-Original-Message-Id")
_ADDRESSED = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
_BREAKS = re.compile(r"<(?:br|/p|/div|/tr|/li|/h\d|/blockquote)\b[^>]*>", re.IGNORECASE)
_INVISIBLE = re.compile(r"<(style|script|head|title)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


class TooManyParts(ValueError):
    """More MIME parts than any report has; Python's parser recurses into each nested part."""


class TooLongParameters(ValueError):
    """A Content-Type that is longer than any report has."""


def parsed(mail: bytes) -> Message:
    """Parse a mail; raises TooManyParts, TooLongParameters, and for a damaged one whatever Python's parser raises."""
    if len(_CONTENT_TYPE.findall(mail)) > _MOST_PARTS:
        raise TooManyParts
    if _LONG_PARAMETERS.search(mail):
        raise TooLongParameters
    return message_from_bytes(mail)


def header_text(mail: Message, name: str) -> str:
    """Return a header with its encoded words decoded, in one line; empty when absent. Bytes are read as UTF-8."""
    value = mail.get(name, "")
    try:
        chunks = decode_header(value)
    except (HeaderParseError, ValueError):
        return " ".join(str(value).split())
    return " ".join("".join(_chunk(*each) for each in chunks).split())


def _chunk(text: bytes | str, charset: str | None) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode(charset or "utf-8", errors="replace")
    except LookupError:  # also the name that Python gives to bytes without a charset
        return text.decode(errors="replace")


def raw_text(part: Message) -> str:
    """Return the text of a part without subparts; an unknown charset is read as UTF-8, bad bytes are replaced."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        inner = part.get_payload()
        return "\n".join(str(each) for each in inner)[:_MOST_TEXT] if isinstance(inner, list) else str(inner)
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload[:_MOST_TEXT].decode(charset, errors="replace")
    except (LookupError, UnicodeError):
        return payload[:_MOST_TEXT].decode(errors="replace")


def first_text(mail: Message) -> Message:
    """Return the first part that is shown as plain text, else as HTML; the mail itself if it has neither."""
    shown = [part for part in mail.walk() if part.get_content_maintype() == "text" and not part.get_filename()]
    by_type = {part.get_content_type(): part for part in reversed(shown)}
    return by_type.get("text/plain") or by_type.get("text/html") or mail


def readable_text(mail: Message) -> str:
    """Return what a person wrote, as plain text; HTML loses its tags."""
    part = first_text(mail)
    text = raw_text(part)
    if part.get_content_type() == "text/html":
        text = unescape(_TAG.sub("", _BREAKS.sub("\n", _visible(text))))
    return text.replace("\r\n", "\n").replace("\xa0", " ")


def _visible(html: str) -> str:
    """Leave out elements that are not shown; one that is not closed ends the text."""
    shown, at = [], 0
    while found := _INVISIBLE.search(html, at):
        shown.append(html[at : found.start()])
        end = html.lower().find(f"</{found[1].lower()}", found.end()) if len(shown) < _MOST_PARTS else -1
        at = len(html) if end < 0 else html.find(">", end) + 1 or len(html)
    return "".join([*shown, html[at:]])


def blocks(part: Message) -> list[Message]:
    """Return the header blocks of a status part, also if it is encoded."""
    payload = part.get_payload()
    found = [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []
    if any("Action" in each or "Final-Recipient" in each for each in found):
        return found
    text = _decoded("\n".join(each.as_string() for each in found) if found else raw_text(part))
    return [message_from_string(f"{block}\n") for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n"))]


def _decoded(text: str) -> str:
    """Decode base64 that a parser took for header lines."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return text


def reference_of(mail: Message) -> Reference | None:
    """Find our Message-ID in the returned mail or its headers, else in headers that refer to it, else in the text."""
    parts = list(mail.walk())
    named = [*_returned_ids(parts), *_referring(parts), *(str(mail.get(name, "")) for name in _ADDRESSED)]
    found = next((found for name in named if (found := reference_in(name))), None)
    return found or (reference_in(raw_text(first_text(mail))) if not mail.is_multipart() else None)


def _returned_ids(parts: list[Message]) -> list[str]:
    found = []
    for part in parts:
        if part.get_content_type() not in _RETURNED:
            continue
        payload = part.get_payload()
        original = payload[0] if isinstance(payload, list) and payload else None
        if not isinstance(original, Message) or not original.keys():
            text = _decoded(original.as_string() if isinstance(original, Message) else raw_text(part))
            original = message_from_string(text)
        found += [str(original[name]) for name in _OWN if name in original]
    return found


def _referring(parts: list[Message]) -> list[str]:
    return [str(part[name]) for part in parts for name in _REFERRING if name in part]
