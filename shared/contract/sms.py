"""What a text message is made of: its segments (3GPP TS 23.038, 23.040), and the sender that a phone shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

USUAL_SEGMENTS = 3  # words are left out of a longer text
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_TWICE = frozenset("^{}[]~\\|€\f")
_MOST_STRAY = 3
_NUMBER = re.compile(r"\+?[0-9]{3,15}")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9 ._&+-]")
_LONGEST_NAME = 11


def sms_segments(text: str) -> int:
    if all(char in _GSM7 or char in _GSM7_TWICE for char in text):
        return _segments([2 if char in _GSM7_TWICE else 1 for char in text], alone=160, joined=153)
    return _segments([2 if char > "\uffff" else 1 for char in text], alone=70, joined=67)


def _segments(widths: Sequence[int], *, alone: int, joined: int) -> int:
    """Count the segments of a text; a character is never split between two."""
    if sum(widths) <= alone:
        return 1
    parts, length = 1, 0
    for width in widths:
        if length + width > joined:
            parts, length = parts + 1, 0
        length += width
    return parts


def stray_letters(text: str) -> str:
    """Return the letters, at most three, that alone keep a text out of the GSM alphabet, such as “ in an English one.

    Its segments then have 70 characters instead of 160. Empty for a text in another alphabet.
    """
    found = dict.fromkeys(char for char in text if char not in _GSM7 and char not in _GSM7_TWICE)
    return "".join(found) if len(found) <= _MOST_STRAY else ""


def with_stop(text: str) -> str:
    """Return a text with the placeholder `{stop}`, which is added at the end if it is missing."""
    return text if "{stop}" in text else f"{text} {{stop}}"


def is_number(sender: str) -> bool:
    """Whether a sender is a number, to which a phone can reply."""
    return _NUMBER.fullmatch(sender) is not None


def _checked_sender(sender: str) -> str:
    if is_number(sender):
        return sender
    if not re.search("[A-Za-z]", sender) or sender != sender.strip():
        raise ValueError("expected a name with Latin letters, such as KofePoint, or a number of 3 to 15 digits")
    if wrong := _NOT_IN_NAME.search(sender):
        raise ValueError(f"a sender cannot have {wrong[0]!r}: only Latin letters, digits, blanks and . _ & + -")
    if len(sender) > _LONGEST_NAME:
        raise ValueError(f"{len(sender)} characters; the name of a sender has at most {_LONGEST_NAME}")
    return sender


SmsSender = Annotated[str, StringConstraints(max_length=100), AfterValidator(_checked_sender)]
