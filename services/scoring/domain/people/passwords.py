"""Which passwords are taken: long ones that nobody guesses early (NIST SP 800-63B-4, 3.1.1); no other rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from services.scoring.domain.people.known_phrases import KNOWN_PHRASES
from shared.languages.current import gettext
from shared.languages.marking import mark

SHORTEST, LONGEST = 15, 128  # characters
_SHORT = mark("it needs at least %(num)s characters; four words that do not belong together will do")
_ESTIMATED = 72  # characters that the estimate reads: its time grows with the square
_LEAST_OF_ITS_OWN = 8  # letters and digits beside known words
_LEAST_WITHOUT_REPETITIONS = 12  # characters, also without years
_REPEATED = re.compile(r"(.{4,})(?=.*\1)", re.DOTALL)
_YEAR = re.compile(r"\W*(?:19|20)\d\d\W*")
_RUSSIAN_KEYS = str.maketrans("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`")  # by place
_LEAST_ESTIMATE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses


class WeakPassword(Exception):
    """The text says what is wrong with a password, in words for the person who chose it."""


def normalized(password: str) -> str:
    """Return a password in NFKC, so that every keyboard writes the same."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, known: Sequence[str]) -> None:
    """Raise WeakPassword for one that is short, common, or made of `known` words such as the login, or of repetitions.

    Takes some milliseconds; the estimate is Wheeler's (zxcvbn, USENIX Security 2016), which knows common passwords,
    words, names, dates, repetitions and rows of keys. It is asked about the Latin letters of the same keys, too: its
    list has common Russian words as people type them there.
    """
    text = normalized(password)
    if len(text) < SHORTEST:
        raise WeakPassword(gettext(_SHORT, num=SHORTEST))
    if len(text) > LONGEST:
        raise WeakPassword(gettext("it may have at most %(num)s characters", num=LONGEST))
    if _is_mostly(text, known):
        raise WeakPassword(
            gettext(
                "it is made of your name or login, of a brand or of a phrase that many know; four words that do not "
                "belong together will do"
            )
        )
    if len(_REPEATED.sub("", _YEAR.sub("", text.casefold()))) < _LEAST_WITHOUT_REPETITIONS or _is_guessed(text, known):
        raise WeakPassword(gettext("it is common, or easy to guess; four words that do not belong together will do"))


def _is_guessed(text: str, known: Sequence[str]) -> bool:
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists take 0.1 s to load, and passwords are set seldom

    beginning = text[:_ESTIMATED].casefold()
    by_keys = beginning.translate(_RUSSIAN_KEYS)
    texts = [text[:_ESTIMATED]] if by_keys == beginning else [text[:_ESTIMATED], by_keys]
    words = ["earshot", *known, *(word.casefold().translate(_RUSSIAN_KEYS) for word in known)]
    scores: list[int] = [zxcvbn(each, user_inputs=words, max_length=_ESTIMATED)["score"] for each in texts]
    return min(scores) < _LEAST_ESTIMATE


def _is_mostly(text: str, known: Sequence[str]) -> bool:
    """Say whether little is left of a text without known words and phrases, in the keys of either alphabet."""
    rest = _keys(text)
    words = {_keys(each) for each in ("earshot", *known, *KNOWN_PHRASES)}
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "") if word else rest
    return len(rest) < _LEAST_OF_ITS_OWN


def _keys(text: str) -> str:
    """Return the Latin letters and digits of the keys by which a text is typed, without the dots of Russian letters."""
    typed = text.casefold().replace("ё", "\N{CYRILLIC SMALL LETTER IE}")
    return "".join(each for each in typed if each.isalnum()).translate(_RUSSIAN_KEYS)
