"""Which passwords are taken: long ones that nobody guesses early (NIST SP 800-63B-4, 3.1.1); no other rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from services.scoring.domain.people.known_phrases import KNOWN_PHRASES
from shared.languages.current import gettext
from shared.languages.marking import mark

SHORTEST, LONGEST = 15, 128  # characters
_SHORT = mark("it needs at least %(num)s characters; four words that do not belong together will do")
_ESTIMATED = 72  # characters that the estimate reads: its time grows with the square
_LEAST_OF_ITS_OWN = 8  # letters and digits beside known words
_PART = 10  # letters that a text shares with a known phrase, and not by chance
_LEAST_WITHOUT_REPETITIONS = 12  # characters, also without years
_REPEATED = re.compile(r"(.{4,})(?=.*\1)", re.DOTALL)
_YEAR = re.compile(r"\W*(?:19|20)\d\d\W*")
_RUSSIAN_KEYS = str.maketrans("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`")  # by place
_MOST_SEPARATORS = 2  # kinds of signs
_LEAST_GUESSES = 10**12  # two common words and a year take fewer


class WeakPassword(Exception):
    """The text says what is wrong with a password, in words for the person who chose it."""


def normalized(password: str) -> str:
    """Return a password in NFKC, so that every keyboard writes the same."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, known: Sequence[str]) -> None:
    """Raise WeakPassword for one that is short, common, or made of `known` words such as the login, or of repetitions.

    Takes some milliseconds; the estimate is Wheeler's (zxcvbn, USENIX Security 2016), which knows common passwords,
    words, names, dates, repetitions and rows of keys. A text counts as its keys, too: Russian words are common in
    Latin letters, and English ones in Russian letters.
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
    words = ["earshot", *known, *(_by_keys(word) for word in known)]
    texts = {each[:_ESTIMATED] for part in (text, _without_separators(text)) for each in (part, _by_keys(part))}
    guesses = (_estimate()(each, user_inputs=words, max_length=_ESTIMATED)["guesses"] for each in texts)
    return any(each < _LEAST_GUESSES for each in guesses)


def _without_separators(text: str) -> str:
    """Return a text without one or two kinds of signs between its words: those add next to nothing."""
    signs = {each for each in text if not each.isalnum()}
    return "".join(each for each in text if each not in signs) if len(signs) <= _MOST_SEPARATORS else text


@cache
def _estimate() -> Callable[..., Mapping[str, Any]]:
    """Return zxcvbn, which knows Russian words, too; its lists take 0.2 s to load, and passwords are set seldom."""
    from spellchecker import SpellChecker  # noqa: PLC0415
    from zxcvbn import matching, zxcvbn  # noqa: PLC0415

    counted: Mapping[str, int] = SpellChecker(language="ru").word_frequency.dictionary
    words = sorted(counted, key=lambda word: counted[word], reverse=True)
    matching.add_frequency_lists({"russian": [_by_keys(word) for word in words]})
    estimate: Callable[..., Mapping[str, Any]] = zxcvbn
    return estimate


def _is_mostly(text: str, known: Sequence[str]) -> bool:
    """Say whether little is left of a text without known words and parts of phrases, in the keys of either alphabet."""
    rest = _without_phrases(_keys(text))
    for word in sorted({_keys(each) for each in ("earshot", *known, *KNOWN_PHRASES)}, key=len, reverse=True):
        rest = rest.replace(word, "") if word else rest
    return len(rest) < _LEAST_OF_ITS_OWN


def _without_phrases(keys: str) -> str:
    phrases = SequenceMatcher(a="\n".join(map(_keys, KNOWN_PHRASES)), autojunk=False)
    while True:
        phrases.set_seq2(keys)
        part = phrases.find_longest_match()
        if part.size < _PART:
            return keys
        keys = keys[: part.b] + keys[part.b + part.size :]


def _by_keys(text: str) -> str:
    """Return a text in the Latin characters of the keys by which it is typed."""
    return text.casefold().translate(_RUSSIAN_KEYS)


def _keys(text: str) -> str:
    """Return the Latin letters and digits of the keys by which a text is typed, without the dots of Russian letters."""
    typed = text.casefold().replace("ё", "\N{CYRILLIC SMALL LETTER IE}")
    return _by_keys("".join(each for each in typed if each.isalnum()))
