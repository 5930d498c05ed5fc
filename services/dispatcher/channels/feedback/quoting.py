"""Separates what a person wrote in a mail from the mail quoted below it, in the forms of common mail programs."""

from __future__ import annotations

import re

_WROTE = (
    r"(?:wrote|writes|пишет|писал[аи]?|написал[аи]?|написав|пише|жазды|schrieb|a [eé]crit|escribi[oó]|escreveu"
    r"|ha scritto|napisa[lł][a(]?a?\)?|yazd[ıi]|skrev|schreef|napsal)"  # noqa: RUF001
)
_QUOTES = [
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"^[^\n>]{{0,200}}\d[^\n]{{0,200}}(?:\n[^\n]{{0,120}})?\b{_WROTE}[^\n:]{{0,80}}:\s*$",
        r"^[^\n]{0,120}\d{2}[^\n]{0,160}<[^<>\s]{1,100}@[^<>\s]{1,100}>\s*:?\s*$",
        r"^\s*-{2,}[^\n-]{3,60}-{2,}\s*$",  # Original Message
        r"^_{8,}\s*$",
        r"^\W{0,3}(?:from|от|von|de|da|od|від|kimden|van)\s?:\W?[^\n]{1,200}\n(?:[^\n]{0,200}\n){0,2}?\W{0,3}[^\n:]{2,20}:",
        r"^-- ?$",
    )
]
_QUOTED_LINE = re.compile(r"^\s?>.*\n?", re.MULTILINE)


def own_words(text: str) -> str:
    """Return the text above the quoted mail and the signature, without quoted lines; all of it if nothing is left."""
    at = min((found.start() for quote in _QUOTES if (found := quote.search(text))), default=len(text))
    own = _QUOTED_LINE.sub("", text[:at]).strip()
    return own or _QUOTED_LINE.sub("", text).strip() or text.strip()
