"""The page of comments: found by their words, and exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from io import StringIO
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from services.scoring.dashboard import comments_query as query
from services.scoring.dashboard.answer_sources import answer_source
from services.scoring.dashboard.comments_query import CommentsPage, CommentsQuery
from services.scoring.domain.comments.tags import LONGEST
from services.scoring.domain.stores.names import STORE
from services.scoring.files import comments
from services.scoring.repository import listing
from services.scoring.repository.stores import listed
from services.scoring.web import rendering
from services.scoring.web.score_queries import MOST_WORDS
from shared.contract.vocabulary import Category
from shared.database.session import Sessions
from shared.languages import formats
from shared.languages.marking import mark
from shared.web.problems import Unprocessable
from shared.web.staff.menu import StaffPages

MOST_EXPORTED = 10_000
_GROUPS = {
    Category.DETRACTOR: mark("Detractors"),
    Category.PASSIVE: mark("Passives"),
    Category.PROMOTER: mark("Promoters"),
}


@dataclass(frozen=True, slots=True)
class CommentPages:
    sessions: Sessions
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/comments", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/export", self.export, methods=["GET"])
        return router

    async def show(self, asked: Annotated[CommentsQuery, Query()]) -> Response:
        async with self.sessions.begin() as session:
            page = await query.read(session, asked)
        return rendering.page(
            "comments.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if page.wrong else HTTPStatus.OK,
            query=asked,
            page=page,
            lines=list(_lines(page)),
            groups=_GROUPS,
            stores=sorted(set(page.stores.listed.values())),
            most_words=MOST_WORDS,
            longest_tag=LONGEST,
            most_exported=MOST_EXPORTED,
            export=asked.link(before=None).replace(asked.path, f"{asked.path}/export", 1),
            pages=self.staff_pages,
        )

    async def export(self, asked: Annotated[CommentsQuery, Query()]) -> Response:
        """Write the newest comments that the query asks for to a CSV file."""
        async with self.sessions.begin() as session:
            if wrong := await query.wrong_words(session, asked.words):
                raise Unprocessable(mark("Nothing was searched"), wrong)
            stores = await listed.names(session)
            rows = await listing.newest(session, asked.filter(stores), before=None, limit=MOST_EXPORTED)
        text = StringIO()
        comments.write(text, rows, stores)
        headers = {"content-disposition": 'attachment; filename="comments.csv"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(page: CommentsPage) -> Iterator[dict[str, Any]]:
    for row, parts in zip(page.rows, page.parts, strict=True):
        yield {
            "score": row["score"],
            "category": row["category"],
            "parts": parts,
            "program": page.programs.get(row["program"], row["program"]),
            "store": page.stores.shown(STORE, row["segments"].get(STORE, "")),
            "at": formats.moment(row["answered_at"]),
            "source": answer_source(row["mode"], row["channel"]),
            "answer_id": row["answer_id"],
            "tags": row["tags"],
            "quote_name": row["quote_name"],
        }
