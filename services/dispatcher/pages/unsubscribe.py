"""The page a respondent stops us on: `/u/{token}`. Nobody is unsubscribed by looking at it."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.handlers import close_invitations
from services.dispatcher.messages.composer import about
from services.dispatcher.messages.texts import MailTexts, language_of, words_of
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import invitations
from shared.clock import Clock
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.database.db import Sessions
from shared.web import links
from shared.web.app import committing


class Choice(StrEnum):
    ALL = "all"
    EMAIL = "email"
    SURVEY = "survey"  # this program's questions


def router(sessions: Sessions, clock: Clock) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.api_route("/u/{token}", methods=["GET", "HEAD"])
    async def ask(token: str, session: transaction) -> Response:
        """Show the choices: link scanners open this too."""
        request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
        return _unknown_link() if request is None else _choices(request)

    @routes.post("/u/{token}")
    async def unsubscribe(token: str, session: transaction, what: Annotated[str, Form()] = "") -> Response:
        """Act at once: no cookie, no redirect. A mail reader's own button, RFC 8058, means all mail."""
        request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
        if request is None:
            return _unknown_link()
        choice = Choice(what) if what in set(Choice) else Choice.EMAIL
        await close_invitations.opt_out(
            session,
            request.respondent_id,
            now=clock.now(),
            channel=ChannelKind.EMAIL if choice is Choice.EMAIL else None,
            program=request.program.id if choice is Choice.SURVEY else None,
        )
        return _done(request, choice)

    return routes


def _choices(request: SurveyRequested) -> Response:
    words = words_of(request.locale)
    choices = {choice: words.choices[choice].format(about=about(request)) for choice in Choice}
    return _page(request, words.ask_title, words.ask_text, words=words, choices=choices)


def _done(request: SurveyRequested, choice: Choice) -> Response:
    words = words_of(request.locale)
    return _page(request, words.done_title, words.done_texts[choice], words=words)


def _page(
    request: SurveyRequested, title: str, text: str, *, words: MailTexts, choices: dict[Choice, str] | None = None
) -> Response:
    shown = page(
        "unsubscribe.html",
        language=language_of(request.locale),
        brand=request.brand,
        title=title,
        text=text.format(brand=request.brand.name),
        button=words.unsubscribe,
        choices=choices or {},
    )
    return HTMLResponse(shown)


def _unknown_link() -> Response:
    words = words_of("en")
    shown = page(
        "unsubscribe.html",
        language="en",
        brand=None,
        title=words.unknown_title,
        text=words.unknown_text,
        choices={},
    )
    return HTMLResponse(shown, HTTPStatus.NOT_FOUND)
