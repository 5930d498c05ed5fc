"""What respondents are shown: question, reasons, thanks, and kind words when there is nothing to answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response

from services.scoring import rendering, texts
from services.scoring.domain.answers import Invitation, InvitationState
from shared.problems import Gone, NotFound, Problem, Unprocessable, problem_response
from shared.vocabulary import Category, category_of

MAX_TRIES = 3
HEADING_LENGTH = 100  # a longer thanks is a paragraph
SCORE = re.compile(r"10|[0-9]")


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it was opened; the step is what it claims."""

    path: str
    token: str
    step: int

    @classmethod
    def of(cls, text: str) -> Link:
        token, _, step = text.partition(".")
        return cls(f"/s/{quote(text, safe='')}", token, int(step) if re.fullmatch(r"[0-9]{1,3}", step) else 0)


def open_page(query: Mapping[str, str], opened: Link, invitation: Invitation, now: datetime) -> Response:
    answer = invitation.answer if query.keys() & {"saved", "done"} else invitation.heard
    until = texts.day(invitation, invitation.expires_at, now=now)
    asked = query.get("score", "")
    chosen = int(asked) if SCORE.fullmatch(asked) else answer.score if answer else None
    if answer is None or "change" in query or chosen != answer.score:
        about = texts.about(invitation, now=now)
        privacy = _web_address(invitation.content.brand.privacy_url)
        shown: dict[str, Any] = {"chosen": chosen, "about": about, "until": until, "privacy": privacy}
        return form("question.html", invitation, opened, now=now, **shown)
    category = category_of(answer.score)
    if "done" in query:
        thanks = getattr(invitation.content.thanks, category)
        shown = {"thanks": thanks, "heading_length": HEADING_LENGTH, "until": until}
        return page("thanks.html", invitation, path=opened.path, **shown)
    reasons = invitation.content.reasons_for(answer.score)
    promoter = category is Category.PROMOTER
    return form("saved.html", invitation, opened, now=now, answer=answer, promoter=promoter, reasons=reasons)


def form(template: str, invitation: Invitation, opened: Link, *, now: datetime, **values: Any) -> Response:
    """Show a page with a form on it, which remembers when it was shown."""
    return page(template, invitation, path=opened.path, shown_ms=int(now.timestamp() * 1000), **values)


def _web_address(url: str | None) -> str | None:
    return url if url and urlsplit(url).scheme in ("http", "https") else None


def page(template: str, invitation: Invitation | None, *, language: str = "en", **values: Any) -> Response:
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
    response = page("notice.html", invitation, **values)
    response.status_code = problem.status
    return response


def unknown(request: Request, opened: Link) -> Response:
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


def closed(request: Request, invitation: Invitation, now: datetime) -> Response | None:
    """Say kindly that there is nothing to answer any more; None when there is."""
    if invitation.state is not InvitationState.OPEN:
        return withdrawn(request, invitation)
    if now < invitation.expires_at:
        return None
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    text = words["expired_text"].format(date=texts.day(invitation, invitation.expires_at, now=now))
    if invitation.heard:
        text = words["expired_saved"].format(score=invitation.heard.score)
    return _notice(request, Gone(words["expired"], text), invitation, heading=words["expired"], text=text)


def withdrawn(request: Request, invitation: Invitation) -> Response:
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    problem = Gone("This survey was withdrawn", words["withdrawn_text"])
    return _notice(request, problem, invitation, heading=words["withdrawn"], text=words["withdrawn_text"])


def stopped(invitation: Invitation) -> Response:
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    return page("notice.html", invitation, heading=words["stopped"], text=words["stopped_text"])


def invalid(request: Request, opened: Link, invitation: Invitation) -> Response:
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    problem = Unprocessable("The answer was not understood", words["invalid_text"])
    return _notice(request, problem, invitation, heading=words["invalid"], text=words["invalid_text"], back=opened.path)
