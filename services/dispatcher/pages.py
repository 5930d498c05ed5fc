"""What people see of dispatcher: the mailbox, for staff, and the unsubscribe page, for respondents."""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jinja2
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.channels import mime
from services.dispatcher.channels.words import language_of, words_of
from services.dispatcher.handlers import ending
from services.dispatcher.repository import invitations, mailbox
from services.dispatcher.repository.mailbox import Kept
from shared import links, problems, web
from shared.clock import Clock
from shared.db import Sessions
from shared.events import SurveyRequested
from shared.vocabulary import ChannelKind

_SHOWN = 100
_MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)


def mailbox_router(sessions: Sessions, clock: Clock) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(web.transaction(sessions), scope="function")]

    @routes.get("/")
    async def home() -> Response:
        return RedirectResponse("/mailbox")

    @routes.get("/mailbox")
    async def message_list(session: transaction) -> str:
        return _page("mailbox.html", messages=await mailbox.newest(session, limit=_SHOWN), now=clock.now())

    @routes.get("/mailbox/{message_id}")
    async def message(message_id: UUID, session: transaction) -> str:
        kept = await _kept(session, message_id)
        if kept.channel is ChannelKind.EMAIL:
            return _page("message.html", message=kept, headers=mime.read_headers(kept.body), words=[])
        return _page("message.html", message=kept, headers={}, words=kept.body.decode().split(" "))

    @routes.get("/mailbox/{message_id}/html")
    async def mail(message_id: UUID, session: transaction) -> Response:
        """Show the mail as its reader would; links open beside this page."""
        kept = await _kept(session, message_id)
        if kept.channel is not ChannelKind.EMAIL:
            raise problems.NotFound("No such mail")
        _, html = mime.read_alternative(kept.body)
        shown = html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(shown, headers={"content-security-policy": _MAIL_CSP})

    return routes


def unsubscribe_router(sessions: Sessions, clock: Clock) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(web.transaction(sessions), scope="function")]

    @routes.get("/u/{token}")
    async def ask(token: str, session: transaction) -> Response:
        """Ask before anything is done: link scanners open this too."""
        request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
        if request is None:
            return _unknown_link()
        words = words_of(request.locale)
        return HTMLResponse(_unsubscribe(request, words.ask_title, words.ask_text, button=words.unsubscribe))

    @routes.post("/u/{token}")
    async def unsubscribe(token: str, session: transaction) -> Response:
        """Unsubscribe in one click, RFC 8058: no cookie, no redirect, whatever the body says."""
        request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
        if request is None:
            return _unknown_link()
        await ending.opt_out(session, request.respondent_id, now=clock.now())
        words = words_of(request.locale)
        return HTMLResponse(_unsubscribe(request, words.done_title, words.done_text))

    return routes


def _unsubscribe(request: SurveyRequested, title: str, text: str, *, button: str = "") -> str:
    language, shown = language_of(request.locale), text.format(brand=request.brand.name)
    return _page("unsubscribe.html", language=language, brand=request.brand, title=title, text=shown, button=button)


def _unknown_link() -> Response:
    words = words_of("en")
    fields = {"language": "en", "brand": None, "title": words.unknown_title, "text": words.unknown_text, "button": ""}
    return HTMLResponse(_page("unsubscribe.html", **fields), HTTPStatus.NOT_FOUND)


async def _kept(session: AsyncSession, message_id: UUID) -> Kept:
    kept = await mailbox.one(session, message_id)
    if kept is None:
        raise problems.NotFound("No such message")
    return kept


def _page(template: str, **fields: Any) -> str:
    return _environment.get_template(template).render(fields)
