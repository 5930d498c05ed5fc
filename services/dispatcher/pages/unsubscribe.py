"""The page where a respondent unsubscribes, and takes that back: `/u/{token}`.

Opening it changes nothing: link scanners open it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from services.dispatcher.handlers import apply_receipts, close_invitations
from services.dispatcher.messages.composer import about
from services.dispatcher.messages.texts import MailTexts, language_of, texts_for, texts_of
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import invitations, suppressions
from shared.clock import Clock
from shared.contract.colors import text_on
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind, InvitationOutcome, SuppressionReason
from shared.database.session import Session, Sessions
from shared.locales import direction, first_tag, isolated, language_tag
from shared.web import links


class Choice(StrEnum):
    ALL = "all"
    EMAIL = "email"
    SMS = "sms"
    SURVEY = "survey"  # all surveys of this program


_CHANNELS = {Choice.EMAIL: ChannelKind.EMAIL, Choice.SMS: ChannelKind.SMS}
AGAIN = "again"


@dataclass(frozen=True, slots=True)
class UnsubscribePages:
    sessions: Sessions
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/u", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/{token}", self.ask, methods=["GET", "HEAD"])
        router.add_api_route("/{token}", self.unsubscribe, methods=["POST"])
        return router

    async def ask(self, token: str, request: Request, *, again: Annotated[bool, Query()] = False) -> Response:
        """Offer the choices, or say what was chosen; with `again`, the respondent opted out on the answer page."""
        async with self.sessions.begin() as session:
            asked = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
            if asked is None:
                return _of_no_survey(token, request)
            chosen = await _chosen(session, asked)
        if chosen:
            return _done(asked, chosen)
        return _not_yet(asked) if again else _choices(asked)

    async def unsubscribe(self, token: str, request: Request, what: Annotated[str, Form()] = "") -> Response:
        """Unsubscribe at once, without a cookie or redirect; the survey of the link ends with any choice.

        The button of a mail program (RFC 8058) posts none of our choices; it also unsubscribes from all mail.
        """
        choice = Choice(what) if what in set(Choice) else Choice.EMAIL
        async with self.sessions.begin() as session:
            asked = await invitations.by_unsubscribe_link(session, links.fingerprint(token))
            if asked is None:
                return _of_no_survey(token, request)
            if what == AGAIN:
                lifted = await apply_receipts.lift_opt_outs(session, asked.respondent_id, now=self.clock.now())
                return _again(asked) if lifted else _not_yet(asked)
            await self._opt_out(session, asked, choice)
        return _done(asked, [choice])

    async def _opt_out(self, session: Session, request: SurveyRequested, choice: Choice) -> None:
        await close_invitations.opt_out(
            session,
            request.respondent_id,
            now=self.clock.now(),
            channel=_CHANNELS.get(choice),
            program=request.program.id if choice is Choice.SURVEY else None,
        )
        declined = {request.invitation_id: InvitationOutcome.DECLINED}
        await close_invitations.close_or_remember(session, declined, now=self.clock.now())


async def _chosen(session: Session, request: SurveyRequested) -> list[Choice]:
    """Return the choices of this page that hold for the respondent, by whatever door they came."""
    scopes = {
        Choice.ALL: (None, None),
        **{choice: (channel, None) for choice, channel in _CHANNELS.items()},
        Choice.SURVEY: (None, request.program.id),
    }
    found = await suppressions.of_respondent(session, request.respondent_id, reason=SuppressionReason.OPT_OUT)
    held = [choice for choice, scope in scopes.items() if scope in found]
    return [Choice.ALL] if Choice.ALL in held else held


def _choices(request: SurveyRequested) -> Response:
    texts = texts_for(request)
    unused = set(_CHANNELS.values()) - {step.channel for step in request.plan}
    offered = [choice for choice in Choice if _CHANNELS.get(choice) not in unused]
    choices = {choice: texts.choices[choice].format(about=about(request)) for choice in offered}
    return _page(request, texts.ask_title, [texts.ask_text], texts=texts, choices=choices)


def _done(request: SurveyRequested, chosen: Sequence[Choice]) -> Response:
    texts = texts_for(request)
    said = [texts.done_texts[choice] for choice in chosen]
    return _page(request, texts.done_title, said, texts=texts, again=texts.again)


def _again(request: SurveyRequested) -> Response:
    texts = texts_for(request)
    return _page(request, texts.done_title, [texts.again_text], texts=texts)


def _not_yet(request: SurveyRequested) -> Response:
    """Say that nothing is stored that could be taken back, and offer it once more."""
    texts = texts_for(request)
    return _page(request, texts.again, [texts.again_early], texts=texts, again=texts.again)


def _page(  # noqa: PLR0913 - what the page shows
    request: SurveyRequested,
    title: str,
    said: Sequence[str],
    *,
    texts: MailTexts,
    choices: dict[Choice, str] | None = None,
    again: str = "",
) -> Response:
    shown = page(
        "unsubscribe.html",
        language=language_tag(request.locale),
        direction=direction(request.locale),
        brand=request.brand,
        initial=text_on(request.brand.color),
        title=title,
        said=[text.format(brand=isolated(request.brand.name, request.locale)) for text in said],
        button=texts.unsubscribe,
        choices=choices or {},
        again=again,
    )
    return HTMLResponse(shown)


def _of_no_survey(token: str, request: Request) -> Response:
    """Respond 404 for an unknown link, or say that this is one of a test message."""
    of_sample = links.sample_language(token)
    language = language_of(of_sample or first_tag(request.headers.get("accept-language", "")))
    texts = texts_of(language)
    title, text = (texts.test_title, texts.test_text) if of_sample else (texts.unknown_title, texts.unknown_text)
    shown = page(
        "unsubscribe.html",
        language=language,
        direction="ltr",
        brand=None,
        title=title,
        said=[text],
        choices={},
        again="",
    )
    return HTMLResponse(shown, HTTPStatus.OK if of_sample else HTTPStatus.NOT_FOUND)
