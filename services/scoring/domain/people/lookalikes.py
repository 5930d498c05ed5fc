"""Names that look the same: their letters are those of another alphabet, or differ in case or spaces alone."""

from __future__ import annotations

import unicodedata

# Letters of Cyrillic and Greek, and below them the Latin ones that look like them, small or as capitals.
_LIKE_LATIN = str.maketrans(
    "авеёікмнорстухїјѕһԁԛԝαβεζηικμνορτυχ",
    "abeëikmhopctyxïjshdqwabezhikmnoptyx",
)
# Signs without a picture that are letters, marks or symbols to Unicode; the others are separators or format signs.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_INVISIBLE_KINDS = ("Zs", "Zl", "Zp", "Cc", "Cf")


def look_of(name: str) -> str:
    """Return a text that is the same for names that look the same; "" for a name of invisible characters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if not _is_invisible(letter)).translate(_LIKE_LATIN)


def _is_invisible(letter: str) -> bool:
    is_selector = "\ufe00" <= letter <= "\ufe0f"  # of a variant of the letter before
    return is_selector or letter in _INVISIBLE or unicodedata.category(letter) in _INVISIBLE_KINDS
