"""Tags of comments: given and taken away one by one, and renamed, merged or dropped for all."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from services.scoring.answers.tagging import change_tags
from services.scoring.dashboard.comments_query import CommentsQuery, read_tags
from services.scoring.dashboard.returning import ReturningForm
from services.scoring.domain.comments.tags import LONGEST, InvalidTag, tag_of
from services.scoring.repository.comments import tags
from services.scoring.web import rendering
from shared.database.session import Sessions
from shared.languages.current import gettext, ngettext
from shared.languages.marking import mark
from shared.web.audit.acts import note_unchanged
from shared.web.problems import NotFound, Unprocessable
from shared.web.staff.done_acts import REPLACES, refuse_changed, tell
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope

_PAGE = "/tags"


class TagForm(ReturningForm):
    tag: str


@dataclass(frozen=True, slots=True)
class TagPages:
    sessions: Sessions
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/tags", self.show, methods=["GET"])
        router.add_api_route("/tags/rename", self.rename, methods=["POST"])
        router.add_api_route("/tags/drop", self.drop, methods=["POST"])
        router.add_api_route("/comments/{answer_id}/tag", self.give, methods=["POST"])
        router.add_api_route("/comments/{answer_id}/untag", self.take, methods=["POST"])
        return router

    async def give(self, answer_id: UUID, form: Annotated[TagForm, Form()]) -> Response:
        tag = _checked(form.tag)
        await self._change(answer_id, add=tag)
        form.tell(gettext("You gave the tag %(tag)s.", tag=tag), undo=f"/comments/{answer_id}/untag", tag=tag)
        return form.redirect()

    async def take(self, answer_id: UUID, form: Annotated[TagForm, Form()]) -> Response:
        await self._change(answer_id, remove=form.tag)
        said = gettext("You took the tag %(tag)s away.", tag=form.tag)
        form.tell(said, undo=f"/comments/{answer_id}/tag", tag=form.tag)
        return form.redirect()

    async def _change(self, answer_id: UUID, *, add: str | None = None, remove: str | None = None) -> None:
        given, taken = [add] if add else [], [remove] if remove else []
        try:
            async with self.sessions.begin() as session:
                changed = await change_tags(session, answer_id, add=given, remove=taken, scope=staff_scope.get())
        except InvalidTag as error:
            raise Unprocessable(mark("The tag was not given"), str(error)) from None
        if changed is None:
            raise NotFound(mark("No such comment"))

    async def show(self, asked: Annotated[CommentsQuery, Query()]) -> Response:
        async with self.sessions.begin() as session:
            page = await read_tags(session, asked)
        return rendering.page("tags.html", query=asked, page=page, longest=LONGEST, pages=self.staff_pages)

    async def rename(
        self,
        tag: Annotated[str, Form()],
        to: Annotated[str, Form()],
        *,
        merge: Annotated[bool, Form()] = False,
        replaces: Annotated[str | None, Form()] = None,
    ) -> Response:
        """Rename a tag everywhere; asks first if another tag has that name, because the two become one."""
        new = _checked(to)
        async with self.sessions.begin() as session:
            of_both = await tags.uses(session, tag), await tags.uses(session, new)
            refuse_changed(expected=replaces, stored=str(of_both[0]))
            if not of_both[0]:
                raise NotFound(mark("No such tag"))
            if new != tag and of_both[1] and not merge:
                return rendering.page("tags_merged.html", tag=tag, to=new, uses=of_both, pages=self.staff_pages)
            if new != tag:
                await tags.rename(session, tag, to=new)
            else:
                note_unchanged()
        said = gettext("You renamed the tag %(tag)s to %(to)s.", tag=tag, to=new)
        fields = {"tag": new, "to": tag, REPLACES: of_both[0]}
        tell(said, page=_PAGE, undo="" if merge else f"{_PAGE}/rename", fields=fields)
        return RedirectResponse(_PAGE, HTTPStatus.SEE_OTHER)

    async def drop(self, tag: Annotated[str, Form()]) -> Response:
        async with self.sessions.begin() as session:
            count = await tags.drop(session, tag)
        if not count:
            note_unchanged()
        said = ngettext(
            "You took the tag %(tag)s away from %(num)s comment.",
            "You took the tag %(tag)s away from %(num)s comments.",
            count,
            tag=tag,
        )
        tell(said, page=_PAGE)
        return RedirectResponse(_PAGE, HTTPStatus.SEE_OTHER)


def _checked(text: str) -> str:
    try:
        return tag_of(text)
    except InvalidTag as error:
        raise Unprocessable(mark("The tag was not given"), str(error)) from None
