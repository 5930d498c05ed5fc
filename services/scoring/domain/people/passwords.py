"""Which passwords are taken: long ones that nobody guesses early (NIST SP 800-63B-4, 3.1.1); no other rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from shared.languages.current import gettext
from shared.languages.marking import mark

SHORTEST, LONGEST = 15, 128  # characters
_SHORT = mark("it needs at least %(num)s characters; four words that do not belong together will do")
_ESTIMATED = 72  # characters that the estimate reads: its time grows with the square
_LEAST_OF_ITS_OWN = 8  # letters and digits beside the login and the name
_LEAST_ESTIMATE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses


class WeakPassword(Exception):
    """The text says what is wrong with a password, in words for the person who chose it."""


def normalized(password: str) -> str:
    """Return a password in NFKC, so that every keyboard writes the same."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, known: Sequence[str]) -> None:
    """Raise WeakPassword for one that is short, common, or made of `known` words such as the login.

    Takes some milliseconds; the estimate is Wheeler's (zxcvbn, USENIX Security 2016), which knows common passwords,
    words, names, dates, repetitions and rows of keys.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists take 0.1 s to load, and passwords are set seldom

    text = normalized(password)
    if len(text) < SHORTEST:
        raise WeakPassword(gettext(_SHORT, num=SHORTEST))
    if len(text) > LONGEST:
        raise WeakPassword(gettext("it may have at most %(num)s characters", num=LONGEST))
    if _is_mostly(text, known):
        raise WeakPassword(gettext("it is made of your name or login; four words that do not belong together will do"))
    if zxcvbn(text[:_ESTIMATED], user_inputs=["earshot", *known], max_length=_ESTIMATED)["score"] < _LEAST_ESTIMATE:
        raise WeakPassword(gettext("it is common, or easy to guess; four words that do not belong together will do"))


def _is_mostly(text: str, known: Sequence[str]) -> bool:
    """Say whether little is left of a text without the known words."""
    rest = text.casefold()
    for word in sorted((each.casefold() for each in known), key=len, reverse=True):
        rest = rest.replace(word, "") if word else rest
    return sum(character.isalnum() for character in rest) < _LEAST_OF_ITS_OWN
