"""The answer page: a GET shows, only a POST records; it works without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask

from services.scoring import forms, rendering, texts
from services.scoring.answers import Recorded, opt_out
from services.scoring.domain.answers import Entry, Invitation, InvitationState, Refusal
from services.scoring.domain.visits import MAX_USER_AGENT, Device, View, device_of, is_crawler
from services.scoring.repository import invitations, visits
from services.scoring.writer import Writer
from shared.clock import Clock
from shared.db import Sessions
from shared.links import fingerprint
from shared.problems import Gone, NotFound, Problem, Unprocessable, problem_response
from shared.vocabulary import Category, category_of

log = structlog.get_logger()

MAX_TRIES = 3
MAX_TEXT = 4000
HEADING_LENGTH = 100  # a longer thanks is a paragraph
_SCORE = re.compile(r"10|[0-9]")


class InvalidForm(ValueError):
    """What was sent is not an answer: show what to do."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A link as it was opened; the step is what it claims."""

    path: str
    token: str
    step: int

    @classmethod
    def of(cls, text: str) -> _Link:
        token, _, step = text.partition(".")
        return cls(f"/s/{quote(text, safe='')}", token, int(step) if re.fullmatch(r"[0-9]{1,3}", step) else 0)


@dataclass(frozen=True, slots=True)
class AnswerPages:
    sessions: Sessions
    writer: Writer
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/s/{link}", self.show, methods=["GET", "HEAD"])
        router.add_api_route("/s/{link}", self.save, methods=["POST"])
        router.add_api_route("/s/{link}/stop", self.ask_to_stop, methods=["GET", "HEAD"])
        router.add_api_route("/s/{link}/stop", self.stop, methods=["POST"])
        return router

    async def show(self, request: Request, link: str) -> Response:
        opened, now = _Link.of(link), self.clock.now()
        invitation = await self._find(opened)
        if invitation is None:
            return _unknown(request, opened)
        if (closed := _closed(request, invitation, now)) is not None:
            return closed
        response = _open_page(request.query_params, opened, invitation, now)
        response.background = BackgroundTask(self._viewed, invitation, _view(request, opened, now))
        return response

    async def save(self, request: Request, link: str) -> Response:
        opened, now = _Link.of(link), self.clock.now()
        invitation = await self._find(opened)
        if invitation is None:
            return _unknown(request, opened)
        try:
            said = _entry(await _fields(request), invitation, step=opened.step, now=now)
        except InvalidForm:
            return _invalid(request, opened, invitation)
        entry = replace(said, device=_device(request))
        result = await self.writer.record(entry)
        if isinstance(result, Recorded):
            done = "?done=1" if entry.reasons is not None else ""
            return RedirectResponse(opened.path + done, status_code=303)
        if result is Refusal.NO_SCORE:
            return _invalid(request, opened, invitation)
        return _closed(request, invitation, now) or _withdrawn(request, invitation)

    async def ask_to_stop(self, request: Request, link: str) -> Response:
        opened = _Link.of(link)
        invitation = await self._find(opened)
        if invitation is None or invitation.state is InvitationState.ERASED:
            return _unknown(request, opened)
        return _page("stop.html", invitation, path=opened.path)

    async def stop(self, request: Request, link: str) -> Response:
        opened = _Link.of(link)
        invitation = await self._find(opened)
        if invitation is None or invitation.state is InvitationState.ERASED:
            return _unknown(request, opened)
        async with self.sessions.begin() as session:
            await opt_out(session, invitation, now=self.clock.now())
        words = texts.LANGUAGES[texts.language_of(invitation.locale)]
        return _page("notice.html", invitation, heading=words["stopped"], text=words["stopped_text"])

    async def _find(self, opened: _Link) -> Invitation | None:
        async with self.sessions.begin() as session:
            return await invitations.find(session, fingerprint(opened.token))

    async def _viewed(self, invitation: Invitation, view: View) -> None:
        """Note apart that the page was opened; that this may fail is nobody's problem."""
        try:
            async with self.sessions.begin() as session:
                await visits.keep(session, invitation.id, view)
        except (OSError, TimeoutError, SQLAlchemyError) as error:
            log.warning("page.view_lost", invitation_id=str(invitation.id), exc_info=error)


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:MAX_USER_AGENT]


def _device(request: Request) -> Device | None:
    return device_of(_user_agent(request), mobile=request.headers.get("sec-ch-ua-mobile", ""))


def _view(request: Request, opened: _Link, now: datetime) -> View:
    asked = request.query_params.get("score", "")
    score = int(asked) if _SCORE.fullmatch(asked) else None
    automatic = request.method == "HEAD" or is_crawler(_user_agent(request))
    return View(opened.step, request.method, score, automatic, now)


async def _fields(request: Request) -> list[tuple[str, str]]:
    form = await forms.read(request)
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


def _entry(fields: list[tuple[str, str]], invitation: Invitation, *, step: int, now: datetime) -> Entry:
    """Read a form; raises InvalidForm. A form without a comment field is the first page's: the score alone."""
    last = dict(fields)
    score = last.get("score")
    if score is not None and not _SCORE.fullmatch(score):
        raise InvalidForm
    chosen = None if score is None else int(score)
    if "comment" not in last:
        return Entry(invitation.id, now, chosen, step=step)
    return Entry(
        invitation.id,
        now,
        chosen,
        reasons=tuple(value for name, value in fields if name == "reasons"),
        comment=_text(last["comment"]),
        extra={name.removeprefix("extra."): _text(value) for name, value in fields if name.startswith("extra.")},
        step=step,
    )


def _text(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidForm
    return forms.clean(value)


def _open_page(query: Mapping[str, str], opened: _Link, invitation: Invitation, now: datetime) -> Response:
    answer = invitation.answer
    until = texts.day(invitation, invitation.expires_at, now=now)
    asked = query.get("score", "")
    chosen = int(asked) if _SCORE.fullmatch(asked) else answer.score if answer else None
    if answer is None or "change" in query or chosen != answer.score:
        about = texts.about(invitation, now=now)
        privacy = _web_address(invitation.content.brand.privacy_url)
        return _page(
            "question.html", invitation, path=opened.path, chosen=chosen, about=about, until=until, privacy=privacy
        )
    category = category_of(answer.score)
    if "done" in query:
        thanks = getattr(invitation.content.thanks, category)
        shown = {"thanks": thanks, "heading_length": HEADING_LENGTH, "until": until}
        return _page("thanks.html", invitation, path=opened.path, **shown)
    return _page(
        "saved.html",
        invitation,
        path=opened.path,
        answer=answer,
        promoter=category is Category.PROMOTER,
        reasons=invitation.content.reasons_for(answer.score),
    )


def _web_address(url: str | None) -> str | None:
    return url if url and urlsplit(url).scheme in ("http", "https") else None


def _page(template: str, invitation: Invitation | None, *, language: str = "en", **values: Any) -> Response:
    if invitation is not None:
        language = texts.language_of(invitation.locale)
    values = {"again": None, "back": None, **values}
    words = texts.LANGUAGES[language]
    return rendering.page(template, language=language, words=words, invitation=invitation, **values)


def _notice(request: Request, problem: Problem, invitation: Invitation | None, **values: Any) -> Response:
    """Say it in HTML to a browser, as problem details to a machine."""
    accepted = request.headers.get("accept", "")
    if "json" in accepted and "text/html" not in accepted:
        return problem_response(problem)
    response = _page("notice.html", invitation, **values)
    response.status_code = problem.status
    return response


def _unknown(request: Request, opened: _Link) -> Response:
    """Say "one moment" first: a link may be opened before its request has arrived."""
    tried = request.query_params.get("try", "0")
    number = int(tried) if re.fullmatch("[0-9]", tried) else MAX_TRIES
    language = texts.preferred(request.headers.get("accept-language", ""))
    words = texts.LANGUAGES[language]
    if request.method != "POST" and number < MAX_TRIES:
        heading, text, again = words["moment"], words["moment_text"], f"{opened.path}?try={number + 1}"
    else:
        heading, text, again = words["unknown"], words["unknown_text"], None
    problem = NotFound("This link does not work", words["unknown_text"])
    return _notice(request, problem, None, language=language, heading=heading, text=text, again=again)


def _closed(request: Request, invitation: Invitation, now: datetime) -> Response | None:
    """Say kindly that there is nothing to answer any more; None when there is."""
    if invitation.state is not InvitationState.OPEN:
        return _withdrawn(request, invitation)
    if now < invitation.expires_at:
        return None
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    text = words["expired_text"].format(date=texts.day(invitation, invitation.expires_at, now=now))
    if invitation.answer:
        text = words["expired_saved"].format(score=invitation.answer.score)
    return _notice(request, Gone(words["expired"], text), invitation, heading=words["expired"], text=text)


def _withdrawn(request: Request, invitation: Invitation) -> Response:
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    problem = Gone("This survey was withdrawn", words["withdrawn_text"])
    return _notice(request, problem, invitation, heading=words["withdrawn"], text=words["withdrawn_text"])


def _invalid(request: Request, opened: _Link, invitation: Invitation) -> Response:
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    problem = Unprocessable("The answer was not understood", words["invalid_text"])
    return _notice(request, problem, invitation, heading=words["invalid"], text=words["invalid_text"], back=opened.path)
