"""Full-text search in comments: Russian and English words in any of their forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.scoring.models.answers import SEARCHED, WORDS_OF_COMMENT, WRITTEN
from shared.database import db
from shared.database.session import Session

_QUERY = "websearch_to_tsquery('russian', {0})"
_HAS_PHRASE = f"strpos({_QUERY}::text, '<') > 0"
# the query with phrases as words: the index has no places of words, and would read every comment that has the words
_WORDS = f"""(CASE WHEN strpos({_QUERY}::text, '!') > 0 THEN {_QUERY}
ELSE regexp_replace({_QUERY}::text, '<(-|\\d+)>', '&', 'g')::tsquery END)"""
# an array: for `IN (SELECT …)` PostgreSQL reads comments one by one from the newest, in the hope to find enough soon
FOUND = f"""answer_id = ANY(ARRAY(SELECT answer_id FROM answers
WHERE comment IS NOT NULL AND {WORDS_OF_COMMENT} @@ {_WORDS}))
AND (NOT {_HAS_PHRASE} OR {WORDS_OF_COMMENT} @@ {_QUERY})"""  # noqa: S608 - constants only
"""The condition that the comment of an answer has the words of a query; its parameter is what `query_of` returned."""

_BEGIN, _END = "\x02", "\x03"  # around a word that was found; neither is in a searched text
_SEARCHED = str.maketrans(WRITTEN + _BEGIN + _END, f"{SEARCHED}  ")
_QUOTES = str.maketrans("“”„«»", '"' * 5)
_OR = re.compile(r"\bили\b")
_COUNT = "SELECT numnode(websearch_to_tsquery('russian', $1)) AS words"
_MARK = f"""SELECT ts_headline('russian', text, websearch_to_tsquery('russian', $2),
'HighlightAll=true, StartSel="{_BEGIN}", StopSel="{_END}"') AS marked
FROM unnest($1::text[]) WITH ORDINALITY AS t (text, place) ORDER BY place"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a comment; `found` if a search found this word."""

    text: str
    found: bool


def query_of(words: str) -> str:
    """Return what a person wrote as a query: all words, "a phrase", or (also in Russian), and - before one without."""
    return _OR.sub("or", _searched(words.translate(_QUOTES)))


def _searched(comment: str) -> str:
    """Return a comment as it is searched, with as many characters."""
    return comment.translate(_SEARCHED)


async def has_words(session: Session, words: str) -> bool:
    """Say whether there is a word to search for; punctuation and the commonest words are none."""
    [row] = await db.fetch(session, _COUNT, query_of(words))
    return bool(row["words"])


async def marked(session: Session, comments: Sequence[str], words: str) -> list[list[TextPart]]:
    """Divide comments where the words begin and end; the parts of one are together its text."""
    rows = await db.fetch(session, _MARK, [_searched(each) for each in comments], query_of(words))
    return [_parts(comment, row["marked"]) for comment, row in zip(comments, rows, strict=True)]


def _parts(comment: str, marked: str) -> list[TextPart]:
    parts, begin = [], 0
    for number, piece in enumerate(re.split(f"[{_BEGIN}{_END}]", marked)):
        end = begin + len(piece)
        parts.append(TextPart(comment[begin:end], found=number % 2 == 1))
        begin = end
    return [part for part in parts if part.text]
