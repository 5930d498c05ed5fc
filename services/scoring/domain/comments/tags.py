"""What a tag of an answer may be: a short word of the staff, without data about a person."""

from __future__ import annotations

import re
import unicodedata

from shared.languages.current import gettext

MOST_TAGS = 10  # of an answer
LONGEST = 40  # characters
_ALLOWED = re.compile(r"\w[\w '&+./-]*")
_MANY_DIGITS = re.compile(r"(?:\d[ .()/-]*){6}\d")  # seven: the shortest telephone number


class InvalidTag(ValueError):
    """A tag is not valid, or cannot be given; the text says why."""


def tag_of(text: str) -> str:
    """Return a tag as it is stored, in small letters and with single spaces; raises InvalidTag."""
    tag = " ".join(unicodedata.normalize("NFC", text).lower().split())
    if len(tag) > LONGEST:
        raise InvalidTag(gettext("A tag has room for %(most)s characters.", most=LONGEST))
    if "@" in tag or _MANY_DIGITS.search(tag):
        raise InvalidTag(gettext("This looks like an address or a telephone number. Tags name no person."))
    if not _ALLOWED.fullmatch(tag):
        raise InvalidTag(
            gettext("A tag has only letters, digits, spaces and - _ & + ' . / in it: give several one by one.")
        )
    return tag
