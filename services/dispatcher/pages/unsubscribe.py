"""The page where a respondent unsubscribes: `/u/{token}`. Opening it changes nothing: link scanners open it, too."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.handlers import close_invitations
from services.dispatcher.messages.composer import about
from services.dispatcher.messages.texts import MailTexts, language_of, texts_for, texts_of
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import invitations
from shared.clock import Clock
from shared.contract.colors import text_on
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind, InvitationOutcome
from shared.database.db import Sessions
from shared.locales import direction, isolated, language_tag
from shared.web import links


class Choice(StrEnum):
    ALL = "all"
    EMAIL = "email"
    SURVEY = "survey"  # all surveys of this program


@dataclass(frozen=True, slots=True)
class UnsubscribePages:
    sessions: Sessions
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/u", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/{token}", self.ask, methods=["GET", "HEAD"])
        router.add_api_route("/{token}", self.unsubscribe, methods=["POST"])
        return router

    async def ask(self, token: str) -> Response:
        async with self.sessions.begin() as session:
            request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
        return _of_no_survey(token) if request is None else _choices(request)

    async def unsubscribe(self, token: str, what: Annotated[str, Form()] = "") -> Response:
        """Unsubscribe at once, without a cookie or redirect; the survey of the link ends with any choice.

        The button of a mail program (RFC 8058) posts none of our choices; it also unsubscribes from all mail.
        """
        choice = Choice(what) if what in set(Choice) else Choice.EMAIL
        async with self.sessions.begin() as session:
            request = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
            if request is None:
                return _of_no_survey(token)
            await self._opt_out(session, request, choice)
        return _done(request, choice)

    async def _opt_out(self, session: AsyncSession, request: SurveyRequested, choice: Choice) -> None:
        await close_invitations.opt_out(
            session,
            request.respondent_id,
            now=self.clock.now(),
            channel=ChannelKind.EMAIL if choice is Choice.EMAIL else None,
            program=request.program.id if choice is Choice.SURVEY else None,
        )
        declined = {request.invitation_id: InvitationOutcome.DECLINED}
        await close_invitations.close_or_remember(session, declined, now=self.clock.now())


def _choices(request: SurveyRequested) -> Response:
    texts = texts_for(request)
    choices = {choice: texts.choices[choice].format(about=about(request)) for choice in Choice}
    return _page(request, texts.ask_title, texts.ask_text, texts=texts, choices=choices)


def _done(request: SurveyRequested, choice: Choice) -> Response:
    texts = texts_for(request)
    return _page(request, texts.done_title, texts.done_texts[choice], texts=texts)


def _page(
    request: SurveyRequested, title: str, text: str, *, texts: MailTexts, choices: dict[Choice, str] | None = None
) -> Response:
    shown = page(
        "unsubscribe.html",
        language=language_tag(request.locale),
        direction=direction(request.locale),
        brand=request.brand,
        initial=text_on(request.brand.color),
        title=title,
        text=text.format(brand=isolated(request.brand.name, request.locale)),
        button=texts.unsubscribe,
        choices=choices or {},
    )
    return HTMLResponse(shown)


def _of_no_survey(token: str) -> Response:
    """Respond 404 for an unknown link, or say that this is one of a test message."""
    of_sample = links.sample_language(token)
    language = language_of(of_sample or "en")
    texts = texts_of(language)
    title, text = (texts.test_title, texts.test_text) if of_sample else (texts.unknown_title, texts.unknown_text)
    shown = page("unsubscribe.html", language=language, direction="ltr", brand=None, title=title, text=text, choices={})
    return HTMLResponse(shown, HTTPStatus.OK if of_sample else HTTPStatus.NOT_FOUND)
