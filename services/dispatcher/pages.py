"""What staff see of dispatcher: the mailbox."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jinja2
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.channels import mime
from services.dispatcher.repository import mailbox
from services.dispatcher.repository.mailbox import Kept
from shared import problems, web
from shared.clock import Clock
from shared.db import Sessions
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


async def _kept(session: AsyncSession, message_id: UUID) -> Kept:
    kept = await mailbox.one(session, message_id)
    if kept is None:
        raise problems.NotFound("No such message")
    return kept


def _page(template: str, **fields: Any) -> str:
    return _environment.get_template(template).render(fields)
