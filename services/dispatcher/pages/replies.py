"""The staff page of replies: what respondents wrote back by mail or text message, until somebody has read it."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import replies
from services.dispatcher.repository.replies import KeptReply
from shared.contract.vocabulary import ChannelKind
from shared.database import staff
from shared.database.session import Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web.audit.acts import note_unchanged
from shared.web.audit.last_acts import last_acts
from shared.web.staff.done_acts import tell
from shared.web.staff.menu import StaffPages

_PAGE = "/replies"
_SHOWN = 100
_READ = {"POST /replies/{reply_id}/read": mark("read")}


@dataclass(frozen=True, slots=True)
class ReplyPages:
    sessions: Sessions
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/replies", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.newest, methods=["GET"])
        router.add_api_route("/{reply_id}/read", self.mark_read, methods=["POST"])
        router.add_api_route("/{reply_id}/unread", self.mark_unread, methods=["POST"])
        return router

    async def newest(self, *, read: Annotated[bool, Query()] = False) -> str:
        """Show the unread replies, newest first; with `read` also those that were read."""
        async with self.sessions.begin() as session:
            found = await replies.newest(session, limit=_SHOWN, also_read=read)
            read_ones = [str(each.id) for each in found if each.read_at]
            readers = await last_acts(session, read_ones, _READ, names=staff.names)
        shown = {"replies": found, "also_read": read, "readers": readers}
        return page("replies.html", pages=self.staff_pages, answer_link=answer_link, **shown)

    async def mark_read(self, reply_id: UUID) -> Response:
        """Mark a reply as read; a repeated request changes nothing."""
        async with self.sessions.begin() as session:
            marked = await replies.mark_read(session, reply_id)
        if marked:
            tell(gettext("You marked the reply as read."), page=_PAGE, undo=f"{_PAGE}/{reply_id}/unread")
        else:
            note_unchanged()  # and say nothing, so that a second press keeps the button that undoes
        return RedirectResponse(_PAGE, status_code=303)

    async def mark_unread(self, reply_id: UUID) -> Response:
        """Mark a reply as unread; a repeated request changes nothing."""
        async with self.sessions.begin() as session:
            marked = await replies.mark_unread(session, reply_id)
        if marked:
            tell(gettext("Undone: the reply is unread again."), page=_PAGE)
        else:
            note_unchanged()
        return RedirectResponse(_PAGE, status_code=303)


def answer_link(reply: KeptReply) -> str:
    """Return a link that opens an answer in the reader's mail program or phone; empty without address."""
    if not reply.sender:
        return ""
    if reply.channel is not ChannelKind.EMAIL:
        return f"sms:{quote(reply.sender, safe='+')}"
    subject = reply.subject if reply.subject.lower().startswith("re:") else f"Re: {reply.subject}"
    return f"mailto:{quote(reply.sender, safe='@')}?{urlencode({'subject': subject}, quote_via=quote)}"
