"""Query parameters of the page of comments, and what it shows, read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import asyncpg
from pydantic import Field

from services.scoring.domain.score import Figure
from services.scoring.domain.stores.names import STORE, StoreNames
from services.scoring.repository import listing, programs
from services.scoring.repository.comments import search, tags
from services.scoring.repository.listing import AnswerFilter
from services.scoring.repository.stores import listed
from services.scoring.web.score_queries import MOST_WORDS, AnswerCursor, PageQuery, answer_id_of, cursor_of
from shared.contract.vocabulary import Category
from shared.database.session import Session
from shared.languages.current import gettext
from shared.web.staff.tickets import staff_scope

SHOWN = 50


class CommentsQuery(PageQuery):
    """Query parameters of the page; `words` of any length, because the page says itself what is wrong with them."""

    path = "/comments"

    words: str | None = None
    store: Annotated[str | None, Field(max_length=200)] = None
    group: Category | None = None
    tag: Annotated[str | None, Field(max_length=200)] = None
    quotable: bool | None = None
    before: AnswerCursor = None

    @property
    def chooses(self) -> bool:
        """Whether anything is chosen, so that not every comment is shown."""
        return bool(self.model_dump(exclude_none=True, exclude={"before"}))

    def filter(self, stores: StoreNames) -> AnswerFilter:
        """Return the filter of comments that count: those of tests and of suspect answers are left out."""
        return AnswerFilter(
            program=self.program,
            first=self.from_,
            last=self.to,
            category=self.group,
            suspect=False,
            test=False,
            commented=True,
            words=self.words,
            quotable=self.quotable,
            tag=self.tag and self.tag.lower(),
            segments={STORE: self.store} if self.store else {},
            stores=stores,
            scope=staff_scope.get(),
        )


@dataclass(frozen=True, slots=True)
class CommentsPage:
    """`parts` has those of each row's comment; `wrong` says why nothing was searched; `programs` has titles by id."""

    rows: Sequence[asyncpg.Record]
    parts: Sequence[Sequence[search.TextPart]]
    wrong: str
    older: str | None
    programs: Mapping[str, str]
    stores: StoreNames
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class TagsPage:
    """`figures` of the comments with each tag, the most used first; `programs` has titles by id."""

    figures: Sequence[Figure]
    programs: Mapping[str, str]


async def read(session: Session, query: CommentsQuery) -> CommentsPage:
    """Read the newest comments that the query asks for, and that the person may see."""
    stores, titles, offered = await listed.names(session), await _titles(session), await tags.in_use(session)
    if wrong := await wrong_words(session, query.words):
        return CommentsPage([], [], wrong, None, titles, stores, offered)
    wanted = query.filter(stores)
    rows = await listing.newest(session, wanted, before=answer_id_of(query.before), limit=SHOWN + 1)
    shown = rows[:SHOWN]
    parts = await search.marked(session, [row["comment"] for row in shown], query.words or "")
    older = query.link(before=cursor_of(shown[-1]["answer_id"])) if len(rows) > SHOWN else None
    return CommentsPage(shown, parts, "", older, titles, stores, offered)


async def _titles(session: Session) -> dict[str, str]:
    scope, used = staff_scope.get(), await programs.programs_by_use(session)
    return {id_: each.title for id_, each in used.items() if scope.covers_program(id_)}


async def read_tags(session: Session, query: CommentsQuery) -> TagsPage:
    """Count the comments that the person may see by their tags."""
    found = await listing.by_tag(session, query.filter(await listed.names(session)))
    figures = [Figure((tag,), tally=tally) for tag, tally in found.items()]
    figures.sort(key=lambda figure: (-figure.tally.n, figure.value))
    return TagsPage(figures, await _titles(session))


async def wrong_words(session: Session, words: str | None) -> str:
    """Say what is wrong with the words of a search, in the reader's language; "" if nothing is."""
    if words is None:
        return ""
    if len(words) > MOST_WORDS:
        return gettext("A search has room for %(most)s characters: shorten it.", most=MOST_WORDS)
    if not await search.has_words(session, words):
        return gettext("There is no word to search for, or only words that are in most comments: add another.")
    return ""
