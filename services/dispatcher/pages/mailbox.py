"""The staff pages of the mailbox: messages kept instead of sent."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.dispatcher.messages import mime
from services.dispatcher.pages.rendering import mail_response, page
from services.dispatcher.repository import mailbox
from services.dispatcher.repository.mailbox import MailboxMessage
from shared.clock import Clock
from shared.contract.vocabulary import ChannelKind
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web import problems
from shared.web.staff.menu import StaffPages

_SHOWN = 100


@dataclass(frozen=True, slots=True)
class MailboxPages:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/", self.home, methods=["GET"])
        router.add_api_route("/mailbox", self.messages, methods=["GET"])
        router.add_api_route("/mailbox/{message_id}", self.message, methods=["GET"])
        router.add_api_route("/mailbox/{message_id}/html", self.mail, methods=["GET"])
        router.add_api_route("/mail/tests/{message_id}", self.test, methods=["GET"])
        router.add_api_route("/mail/tests/{message_id}/html", self.mail_of_test, methods=["GET"])
        return router

    async def home(self) -> Response:
        return RedirectResponse("/mailbox")

    async def messages(self) -> str:
        async with self.sessions.begin() as session:
            kept = await mailbox.newest(session, limit=_SHOWN)
        return page("mailbox.html", pages=self.staff_pages, messages=kept, now=self.clock.now())

    async def message(self, message_id: UUID) -> str:
        return self._page(await self._kept(message_id), frame=f"/mailbox/{message_id}/html")

    async def test(self, message_id: UUID) -> str:
        """Show a test message to those who send them, who need not see what others got."""
        return self._page(await self._kept_test(message_id), frame=f"/mail/tests/{message_id}/html")

    def _page(self, kept: MailboxMessage, *, frame: str) -> str:
        is_mail = kept.channel is ChannelKind.EMAIL
        headers = mime.read_headers(kept.body) if is_mail else {}
        words = [] if is_mail else kept.body.decode().split(" ")
        return page("message.html", pages=self.staff_pages, message=kept, frame=frame, headers=headers, words=words)

    async def mail(self, message_id: UUID) -> Response:
        return _mail_of(await self._kept(message_id))

    async def mail_of_test(self, message_id: UUID) -> Response:
        return _mail_of(await self._kept_test(message_id))

    async def _kept_test(self, message_id: UUID) -> MailboxMessage:
        kept = await self._kept(message_id)
        if kept.invitation_id is not None:
            raise problems.NotFound(mark("No such message"))
        return kept

    async def _kept(self, message_id: UUID) -> MailboxMessage:
        async with self.sessions.begin() as session:
            kept = await mailbox.one(session, message_id)
        if kept is None:
            raise problems.NotFound(mark("No such message"))
        return kept


def _mail_of(kept: MailboxMessage) -> Response:
    if kept.channel is not ChannelKind.EMAIL:
        raise problems.NotFound(mark("No such mail"))
    return mail_response(kept.body)
