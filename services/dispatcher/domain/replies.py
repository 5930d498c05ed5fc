"""What a respondent's own words ask for: no more messages, messages again, or something a person has to read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

from services.dispatcher.domain import reply_words
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from shared.contract.vocabulary import ChannelKind

_KEYWORD_WORDS = 3  # as in: Stop. Thank you
_MOST_READ = 2000  # characters: a request stands at the beginning
_UNDECOMPOSED = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ʼ": " "})
_SENTENCES = re.compile(r"(?<=[.!?…。؟;\n])")
_CLAUSES = re.compile(r"[,:–—]|\s-\s")
_CYRILLIC = str.maketrans("aceopxytkmhb", "асеорхуткмнв")
_LATIN = str.maketrans("асеорхуткмнвѕі", "aceopxytkmhbsi")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person wrote back; `key` is unique per provider.

    `reference` or `phone`, a fingerprint, names what it is a reply to; `asks` is what the words were understood as.
    """

    provider: str
    key: str
    channel: ChannelKind
    sender: str  # a mail address in lower case, or a phone number; empty if unknown
    text: str
    at: datetime
    subject: str = ""
    asks: ReceiptKind | None = None
    reference: Reference | None = None
    phone: bytes | None = None

    @property
    def is_for_a_reader(self) -> bool:
        """Whether somebody has to read it: all but a text that is only a keyword."""
        return bool(self.text) and (self.asks is None or len(self.text.split()) > _KEYWORD_WORDS)

    @property
    def receipt(self) -> Receipt:
        """The receipt of a reply that asks for something."""
        assert self.asks is not None
        return Receipt(self.provider, f"{self.key}:in", self.asks, self.channel, None, self.reference, phone=self.phone)


def read_reply(text: str) -> ReceiptKind | None:
    """Return STOP or START when the text asks for it, in one of several languages; None when a person must read it.

    A keyword counts with courtesies around it (`Stop. Thank you`), a request also inside a sentence (`please take me
    off your list`). A keyword inside a sentence about something else (`we have got to stop this`) does not count.
    """
    text = text[:_MOST_READ]
    sentences = [each for each in _SENTENCES.split(text) if _words(each)]
    if any(map(_asks_to_stop, sentences)) or (
        not _is_question(text) and (_is_keyword(text, _STOP) or _is_keyword(text, _STOP | _STOP_ALONE, vague=False))
    ):
        return ReceiptKind.STOP
    if _plain(text) in _START_ALONE or _is_keyword(text, _START):
        return ReceiptKind.START
    return None


def _asks_to_stop(sentence: str) -> bool:
    words = " ".join(_words(sentence))
    if _patterns().instruction.search(words):
        return False
    first, *others = _CLAUSES.split(sentence)
    is_keyword = _is_keyword(sentence, _STOP) or (bool(others) and _is_keyword(first, _STOP))
    return (is_keyword and not _is_question(sentence)) or _has_phrase(words)


def _is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "؟"))


def _has_phrase(words: str) -> bool:
    """Say whether one of the phrases occurs that is neither negated nor limited by a condition."""
    patterns = _patterns()
    return any(
        not patterns.negated.search(words[: found.start()]) and not patterns.condition.search(words[found.end() :])
        for phrase in patterns.phrases
        for found in phrase.finditer(words)
    )


def _is_keyword(text: str, keywords: frozenset[str], *, vague: bool = True) -> bool:
    """Say whether a text is one of the keywords, also spaced out, repeated, or with courtesies and numbers around.

    Without `vague`, it may not name what it is about: "cancel it" may mean an order.
    """
    words = _words(text)
    if not words or "".join(words) in keywords:
        return bool(words)
    rest = " ".join(word for word in words if not word.isdecimal())
    for keyword in sorted(keywords, key=len, reverse=True):
        without = re.sub(rf"\b{re.escape(keyword)}\b", " ", rest)
        if without != rest:
            around = _COURTESIES if vague else _COURTESIES - _VAGUE
            return all(word in around or word in keywords for word in without.split())
    return False


def _words(text: str) -> list[str]:
    return [_one_alphabet(word) for word in _plain(text).split()]


def _plain(text: str) -> str:
    """Return a text in lower case, without diacritics; all but letters and digits is a space, apostrophes too."""
    bare = _without_marks(unicodedata.normalize("NFKC", text).casefold()).translate(_UNDECOMPOSED)
    return re.sub(r"[\W_]+", " ", bare).strip()


def _without_marks(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))


def _one_alphabet(word: str) -> str:
    """Write a word that mixes Latin and Cyrillic letters of the same shape in one alphabet."""
    if word.isascii() or not re.search("[a-z]", word):
        return word
    cyrillic, latin = word.translate(_CYRILLIC), word.translate(_LATIN)
    return latin if latin.isascii() else cyrillic


def _keywords(words: Iterable[str]) -> frozenset[str]:
    """Return keywords as they are compared: with their spaces, and without."""
    plain = [_plain(word) for word in words]
    return frozenset((*plain, *(word.replace(" ", "") for word in plain)))


_STOP, _STOP_ALONE = _keywords(reply_words.STOP_WORDS), _keywords(reply_words.STOP_ALONE)
_START, _START_ALONE = _keywords(reply_words.START_WORDS), _keywords(reply_words.START_ALONE)
_VAGUE = frozenset(_plain(reply_words.VAGUE).split())
_COURTESIES = frozenset(_plain(reply_words.COURTESIES).split())


class _Patterns(NamedTuple):
    phrases: list[re.Pattern[str]]
    negated: re.Pattern[str]
    instruction: re.Pattern[str]
    condition: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compile the patterns at their first use: it takes as long as loading ten modules."""
    return _Patterns(
        phrases=[re.compile(rf"\b(?:{_without_marks(phrase)})") for phrase in reply_words.PHRASES],
        negated=re.compile(rf"\b(?:{_without_marks(reply_words.NEGATIONS)}) $"),
        instruction=re.compile("|".join(reply_words.INSTRUCTIONS)),
        condition=re.compile(_without_marks(reply_words.CONDITIONS)),
    )
