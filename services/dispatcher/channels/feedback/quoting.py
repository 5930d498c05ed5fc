"""Separates what a person wrote in a mail from the mail quoted below it, in the forms of common mail programs."""

from __future__ import annotations

import re

_WROTE = re.compile(
    r"\b(?:wrote|writes|пишет|писал[аи]?|написал[аи]?|написав|пише|жазды|schrieb|a [eé]crit|escribi[oó]|escreveu"
    r"|ha scritto|napisa[lł]|yazd\w|skrev|schreef|napsal)",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d")
_AUTHOR = re.compile(r"\d{2}.*<[^<>\s]{1,100}@[^<>\s]{1,100}>\s?:?$")
_LONGEST_LINE = 400
_OTHER_BEGINNINGS = [
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"^[ \t]{0,9}-{2,9}[^\n-]{3,60}-{2,9}[ \t]{0,9}$",  # Original Message
        r"^_{8,}[ \t]{0,9}$",
        (
            r"^[^\w\n]{0,3}(?:from|от|von|de|da|od|від|kimden|van) ?:[^\n]{1,200}\n(?:[^\n]{0,200}\n){0,2}?"
            r"[^\w\n]{0,3}[^\n:]{2,20}:"
        ),
        r"^-- ?$",
    )
]
_QUOTED_LINE = re.compile(r"^ ?>.*\n?", re.MULTILINE)


def own_words(text: str) -> str:
    """Return the text above the quoted mail and the signature, without quoted lines; all of it if nothing is left."""
    others = (found.start() for quote in _OTHER_BEGINNINGS if (found := quote.search(text)))
    own = _QUOTED_LINE.sub("", text[: min([_attribution(text), *others])]).strip()
    return own or _QUOTED_LINE.sub("", text).strip() or text.strip()


def _attribution(text: str) -> int:
    """Return where a line like "On 2 March, Kofe Point wrote:" begins, which may be two; else the text's length."""
    at, before = 0, ""
    for line in text.splitlines(keepends=True):
        words = line.strip()[-_LONGEST_LINE:]
        if words.endswith(":") and _WROTE.search(words) and _DATE.search(before + words):
            return at if _DATE.search(words) else at - len(before)
        if words.endswith((">", ">:")) and _AUTHOR.search(words):
            return at
        at, before = at + len(line), line
    return len(text)
