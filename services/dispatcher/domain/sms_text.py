"""The text of an SMS: how many segments it takes, and how it is shortened."""

from __future__ import annotations

from collections.abc import Sequence

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)


_GSM7_TWICE = frozenset("^{}[]~\\|€\f")


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


def fit_sms(prefix: str, link: str, *, segments: int = 2) -> str:
    """Join a text and its link; words are cut off the text until it fits, the link stays whole."""
    words = prefix.split()
    text = f"{' '.join(words)} {link}"
    while words and sms_segments(text) > segments:
        words.pop()
        text = f"{' '.join(words)}... {link}" if words else link
    return text
